"""The models a YAML can name, and the keys of each, in words."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pydantic.fields import FieldInfo

from dataflow_dagster.models.declaration import Model
from dataflow_dagster.registry import UnknownNameError, find, models

_CHOSEN_BY = ("model_path", "model", "model_id")


def model_lines() -> Iterator[str]:
    """A table of all models: step type, name, engines in order of preference, default model."""
    rows = [
        (step_type, name, " or ".join(_engines(model)), default_model(model))
        for step_type, named in models().items()
        for name, model in named.items()
    ]
    yield from aligned([("type", "name", "engine", "default model"), *rows])


def key_lines(name: str) -> Iterator[str]:
    """What the models of that name are, and their keys: type, default, meaning.

    Raises:
        UnknownNameError: No model has that name.
    """
    found = list(_named(name))
    if not found:
        allowed = [known for named in models().values() for known in named]
        raise UnknownNameError("model", name, allowed)
    for step_type, model in found:
        also = "" if model.__name__ == name else f" ({name} is an old name of it)"
        yield f"{step_type} {model.__name__}{also}: {(model.__doc__ or '').strip()}"
        yield ""
        rows = [_key(key, field) for key, field in model.model_fields.items()]
        yield from aligned([("key", "type", "default", "meaning"), *rows])
        for old, new in model.old_keys.items():
            yield f"{old}: an old spelling of {new}"


def _named(name: str) -> Iterator[tuple[str, type[Model]]]:
    """The models of that name, by whatever alias, and their step types."""
    for step_type in models():
        with suppress(UnknownNameError):
            yield step_type, find(step_type, name)


def _engines(model: type[Model]) -> Sequence[str]:
    """A model of the user's own need not name any."""
    return getattr(model, "engines", ())


def default_model(model: type[Model]) -> str:
    """The weights or API model that answers where the YAML names none."""
    for key in _CHOSEN_BY:
        field = model.model_fields.get(key)
        if field is not None:
            return "(to be named)" if field.is_required() else str(field.default)
    return ""


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines in which the columns of `rows` stand under each other, the last one unpadded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _key(key: str, field: FieldInfo) -> tuple[str, str, str, str]:
    default = "(required)" if field.is_required() else repr(field.default)
    return key, _type(field.annotation), default, field.description or ""


def _type(annotation: Any) -> str:
    """``int or None`` as a person writes it; a choice by its values."""
    values = getattr(annotation, "__args__", None)
    if values is None:
        return getattr(annotation, "__name__", str(annotation))
    if getattr(annotation, "__origin__", None) in (dict, list, tuple):
        return annotation.__origin__.__name__
    return " or ".join(
        "none" if value is type(None) else repr(value) if isinstance(value, str) else _type(value)
        for value in values
    )
