"""(type, name) → model class. Models register themselves; nobody keeps a list."""

import difflib
import functools
import importlib
import logging
import pkgutil
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

ENTRY_POINTS = "dataflow_dagster.models"
"""Packages that bring models of their own name their modules under this entry point group."""

_log = logging.getLogger(__name__)

_MODELS: dict[str, dict[str, type[Any]]] = {}
_ALIASES: dict[str, dict[str, str]] = {}
_BROKEN: list[str] = []

M = TypeVar("M", bound=type[Any])


class UnknownNameError(LookupError):
    """No step type or model of that name; `nearest` is the allowed name most like it, if any."""

    def __init__(self, what: str, given: str, allowed: list[str]) -> None:
        self.what = what
        self.given = given
        self.allowed = sorted(allowed)
        folded = {name.casefold(): name for name in self.allowed}
        close = difflib.get_close_matches(given.casefold(), folded, n=1, cutoff=0.5)
        self.nearest = folded[close[0]] if close else None
        super().__init__(self.explain())

    def explain(self) -> str:
        """What was given, the nearest allowed name, and all that are allowed."""
        hint = f", did you mean '{self.nearest}'?" if self.nearest else "."
        said = f"unknown {self.what} '{self.given}'{hint} Allowed: {', '.join(self.allowed)}"
        return ". ".join([said, *broken_packages()])


def register(step_type: str, *, aliases: tuple[str, ...] = ()) -> Callable[[M], M]:
    """Make a model class known to YAML files under its own class name.

    Args:
        step_type: The ``type`` of the steps that may name it, such as ``ImageCaptioner``.
        aliases: Other names old YAML files use for it.

    Raises:
        ValueError: Another class has that name already.
    """

    def remember(model: M) -> M:
        models = _MODELS.setdefault(step_type, {})
        known = models.get(model.__name__)
        if known is not None and known.__module__ != model.__module__:
            raise ValueError(f"{step_type} {model.__name__} is registered by {known.__module__}")
        models[model.__name__] = model
        _ALIASES.setdefault(step_type, {}).update(dict.fromkeys(aliases, model.__name__))
        return model

    return remember


def find(step_type: str, name: str) -> type[Any]:
    """The model class that a step's ``type`` and ``name`` mean.

    Raises:
        UnknownNameError: No such step type, or no such model of that type.
    """
    _load_models()
    if step_type not in _MODELS:
        raise UnknownNameError("step type", step_type, list(_MODELS))
    models, aliases = _MODELS[step_type], _ALIASES.get(step_type, {})
    name = aliases.get(name, name)
    if name not in models:
        raise UnknownNameError(f"{step_type}", name, [*models, *aliases])
    return models[name]


def models() -> dict[str, dict[str, type[Any]]]:
    """All registered model classes: step type → name → class, in order of name."""
    _load_models()
    return {kind: dict(sorted(named.items())) for kind, named in sorted(_MODELS.items())}


def broken_packages() -> tuple[str, ...]:
    """Of each package whose models could not be loaded, a sentence that says why."""
    _load_models()
    return tuple(_BROKEN)


def load_own() -> None:
    """Import the models of this package; those of others import what they like."""
    package = importlib.import_module("dataflow_dagster.models")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


@functools.cache
def _load_models() -> None:
    load_own()
    for entry_point in entry_points(group=ENTRY_POINTS):
        _load_package(entry_point)


def _load_package(entry_point: EntryPoint) -> None:
    """Load another package's models; one that is broken takes down no pipeline without them."""
    try:
        entry_point.load()
    except Exception as fault:  # noqa: BLE001  # a module of somebody else's, which raises anything
        package = "?" if entry_point.dist is None else entry_point.dist.name
        told = (
            f"The models of package '{package}' cannot be named: its module '{entry_point.module}' "
            f"fails to load: {type(fault).__name__}: {fault}"
        )
        _BROKEN.append(told)
        _log.warning(told)
