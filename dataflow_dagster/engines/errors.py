"""Why an engine cannot be had, or will not take a setting: told before the first row."""


def installing(*extras: str) -> str:
    """What to type for one of some extras of this package, which no index has."""
    commands = dict.fromkeys(f'pip install -e ".[{extra}]"' for extra in extras)
    return f"{' or '.join(commands)}, in the folder of dataflow_dagster's source"


class EngineMissingError(RuntimeError):
    """No library that serves the model is installed, or no device that it needs is there."""


class EngineRefusedError(RuntimeError):
    """A server that will answer no row: a wrong key, an unknown model, or it has gone."""


class EngineMemoryError(RuntimeError):
    """A model, or a single row of it, does not fit into the device's memory."""


class ModelMissingError(RuntimeError):
    """A model of the Hub that does not exist, or that may not be had."""


class HubUnreachableError(OSError):
    """The Hub does not answer, and the model is not on this host; it may pass."""


class EngineDiedError(RuntimeError):
    """The processes of an engine die again and again without an answer."""


class StalledError(RuntimeError):
    """An engine has been silent for too long; it and all its processes were killed."""


class UnfitSettingError(ValueError):
    """An engine that is asked for something it cannot do.

    Args:
        setting: The key of the step's ``config``.
        given: Its value.
        allowed: What to write instead, as a sentence's end.
    """

    def __init__(self, setting: str, given: object, allowed: str) -> None:
        super().__init__(f"config key '{setting}': {given!r} cannot be used here; {allowed}")
        self.setting = setting
        self.given = given
        self._allowed = allowed

    def __reduce__(self) -> tuple[type["UnfitSettingError"], tuple[str, object, str]]:
        """What pickle makes a copy of, to travel from a replica to its step."""
        return type(self), (self.setting, self.given, self._allowed)
