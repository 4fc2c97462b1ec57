"""``${NAME}`` in a pipeline's texts: where they stand, and what they stand for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, SecretStr, ValidationError

from dataflow_dagster.schema.document import Document
from dataflow_dagster.schema.errors import KeyPath, PipelineError, Place, Problem, problem_at
from dataflow_dagster.schema.wording import faults

LITERAL: Final = frozenset({"prompt", "sys_prompt", "negative_prompt"})
"""Keys whose text is taken as it is: braces and dollars in a prompt mean nothing."""

HOLDER: Final = "x-"
"""Begins the keys at the left margin whose values stand there only to be repeated by ``*name``."""

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reference:
    """One ``${name}`` in a text of the YAML, and where that text stands."""

    name: str
    at: KeyPath
    place: Place

    def problem(self, message: str) -> Problem:
        """A problem with this text."""
        return problem_at(self.place, self.at, message)


def references(document: Document) -> list[Reference]:
    """Every ``${NAME}`` outside prompts, in the order of the document's keys.

    What keys ``x-`` hold counts where it is repeated.
    """
    return [
        Reference(name, at, document.place(at))
        for at, text in _texts(document.root, ())
        if not (at and str(at[0]).startswith(HOLDER))
        for name in dict.fromkeys(_REFERENCE.findall(text))
    ]


def malformed(found: Sequence[Reference]) -> list[Problem]:
    """One problem for each ``${…}`` that is no variable's name, such as ``${HOME:-x}``."""
    return [
        reference.problem(f"${{{reference.name}}} is not understood; write ${{NAME}}, nothing else")
        for reference in found
        if not _NAME.fullmatch(reference.name)
    ]


def unset(found: Sequence[Reference], environ: Mapping[str, str]) -> list[Problem]:
    """One problem for each reference whose variable is not in `environ`."""
    return [
        reference.problem(f"the environment variable {reference.name} is not set")
        for reference in found
        if reference.name not in environ
    ]


def resolved(model: M, environ: Mapping[str, str], path: Path, found: Sequence[Reference]) -> M:
    """A copy of `model` with the variables' values in its texts, checked like the YAML itself.

    Raises:
        PipelineError: A value is not allowed where it stands. It is not shown: it may be secret.
    """
    resolver = _Resolver(environ, found)
    copy = resolver.model(model, ())
    if resolver.problems:
        raise PipelineError(path, resolver.problems)
    return copy


def with_variables(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables' values; the name of one that is not set stays as it is."""
    return _REFERENCE.sub(lambda found: environ.get(found[1], found[0]), text)


class _Resolver:
    def __init__(self, environ: Mapping[str, str], found: Sequence[Reference]) -> None:
        self.environ = environ
        self.places = {reference.at: reference.place for reference in found}
        self.problems: list[Problem] = []

    def model(self, model: M, at: KeyPath) -> M:
        fields = {name: value for name, value in model if name not in LITERAL}
        new = {name: self.value(value, (*at, name)) for name, value in fields.items()}
        changed = {name: value for name, value in new.items() if value != fields[name]}
        if not changed:
            return model
        said = {name: value for name, value in model if name in model.model_fields_set}
        try:
            return type(model).model_validate({**said, **changed})
        except ValidationError as error:
            self.note(error, type(model), at)
            return model

    def note(self, error: ValidationError, model: type[BaseModel], at: KeyPath) -> None:
        for fault in faults(error, model, {}, show=False):
            where = (*at, *fault.at)
            place = self.places.get(where, next(iter(self.places.values())))
            self.problems.append(problem_at(place, where, fault.message))

    def value(self, value: Any, at: KeyPath) -> Any:
        match value:
            case str():
                return self.text(value)
            case SecretStr():
                return SecretStr(self.text(value.get_secret_value()))
            case BaseModel():
                return self.model(value, at)
            case list() | tuple():
                entries = cast("Sequence[Any]", value)
                new = (self.value(entry, (*at, number)) for number, entry in enumerate(entries))
                return type(value)(new)
            case dict():
                pairs = cast("dict[str, Any]", value)
                return {key: self.value(entry, (*at, key)) for key, entry in pairs.items()}
            case _:
                return value

    def text(self, text: str) -> str:
        return with_variables(text, self.environ)


def _texts(value: object, at: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, entry in cast("dict[str, object]", value).items():
            if key not in LITERAL:
                yield from _texts(entry, (*at, key))
    elif isinstance(value, list):
        for number, entry in enumerate(cast("list[object]", value)):
            yield from _texts(entry, (*at, number))
