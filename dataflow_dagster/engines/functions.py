"""Python functions as an engine: rows through a function of the user's, in the step's process."""

import errno
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from platform import python_version
from typing import Any, Final

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request
from dataflow_dagster.rows import RowError, fingerprint

TextFunction = Callable[..., Any]
"""(text, keyword settings), or (row=, keyword settings), → text; None rejects the row.

What it gives is checked.
"""

ENGINE: Final = Engine("python", python_version(), "exact", "cpu")

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class FunctionSession:
    """Answers one row after the other, in order.

    Attributes:
        by_row: The function is given the row in place of its text.
    """

    function: TextFunction
    settings: Mapping[str, Any]
    by_row: bool = False

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`."""
        for request in requests:
            yield request.number, self._answer(request)

    def close(self) -> None:
        """See `Session.close`; a function holds nothing."""

    def _answer(self, request: Request) -> Answer | RowError:
        try:
            made = self._called(request)
        except RowError as error:
            return error
        except ValueError as refused:
            return RowError("rejected", str(refused))
        except Exception as fault:
            if _is_no_rows(fault):
                raise
            return RowError("function_failed", f"{type(fault).__name__}: {fault}")
        return _checked(made)

    def _called(self, request: Request) -> object:
        if not self.by_row:
            return self.function(request.prompt, **self.settings)
        row = deepcopy(request.row or {})  # what the function changes in it is its own
        return self.function(row=row, **self.settings)


def open_function(name: str, settings: Mapping[str, Any]) -> FunctionSession:
    """Import the function and see that it takes `settings`.

    Raises:
        UnfitSettingError: There is no such function, or it does not take them.
    """
    function = _imported(name)
    by_row = takes_row(name)
    try:
        if by_row:
            inspect.signature(function).bind(row={}, **settings)
        else:
            inspect.signature(function).bind("", **settings)
    except TypeError as odd:
        raise UnfitSettingError("settings", dict(settings), f"{name}: {odd}") from None
    except ValueError:  # some builtins tell no signature; each row tells then
        pass
    return FunctionSession(function, settings, by_row)


def _is_no_rows(fault: Exception) -> bool:
    """True for what ends the shard: each row would meet it. A file or server not there is not."""
    full = isinstance(fault, OSError) and fault.errno in _DISK_FULL
    return full or isinstance(fault, MemoryError)


def takes_row(name: str) -> bool:
    """Whether the function has a parameter ``row``; imports it.

    Raises:
        UnfitSettingError: There is no such function.
    """
    try:
        return "row" in inspect.signature(_imported(name)).parameters
    except ValueError:  # some builtins tell no signature
        return False


def source_version(name: str) -> str | None:
    """Hash of the module's file; None where there is no such module. Nothing is imported."""
    spec = _spec(name.partition(":")[0])
    if spec is None:
        return None
    file = Path(spec.origin or "")
    return fingerprint(file.read_text("utf-8", "replace")) if file.is_file() else spec.name


def _spec(module: str) -> ModuleSpec | None:
    """As `importlib.util.find_spec`, but without importing the packages above the module."""
    found, path = None, None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        specs = (finder.find_spec(name, path) for finder in sys.meta_path)
        found = next((spec for spec in specs if spec is not None), None)
        path = None if found is None else found.submodule_search_locations
        if found is None or (path is None and depth < len(parts)):
            return None
    return found


def _imported(name: str) -> TextFunction:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{module}.".startswith(f"{missing.name}."):
            raise  # the module is there; what it imports is not
        raise UnfitSettingError("function", name, f"there is no module '{missing.name}'") from None
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UnfitSettingError("function", name, f"'{module}' has no function '{attribute}'")
    return found


def _checked(made: object) -> Answer | RowError:
    if made is None:
        return RowError("rejected", "the function returned None for it")
    if not isinstance(made, str):
        kind = type(made).__name__
        return RowError("bad_answer", f"the function returned {kind}; allowed: a text or None")
    return Answer(text=made)
