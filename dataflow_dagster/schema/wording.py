"""pydantic's errors in plain words: what was given, and what the field allows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dataflow_dagster.schema.errors import KeyPath
from dataflow_dagster.schema.expectation import Schema, allowed, branches, field_at, json_schema
from dataflow_dagster.schema.foreign import without_foreign
from dataflow_dagster.schema.spelling import unknown

_TRUTHS: Final = frozenset({"true", "false", "yes", "no", "on", "off"})
_LOGIN = re.compile(r"://[^/\s]*@")
"""Of a URL: a name, and perhaps a password, before its host."""
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")

SECRET: Final = "password"
"""The format that pydantic's JSON schema gives a SecretStr."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value, `at` its place within what was checked."""

    at: KeyPath
    unknown_key: bool
    message: str


def described(value: object) -> str:
    """``is the text '4'``: a YAML value and its type, short enough for one line."""
    match value:
        case None:
            return "has no value"
        case bool():
            return f"is {str(value).lower()}"
        case int() | float():
            return f"is the number {_cut(str(value))}"
        case str():
            return f"is the text '{_cut(value)}'" if value else "is an empty text"
        case list():
            return "is a list" if value else "is an empty list"
        case dict():
            return "is a mapping (key: value)" if value else "is an empty mapping"
        case _:
            return f"is {_cut(repr(value))}"


def faults(
    error: ValidationError,
    model: type[BaseModel],
    given: object,
    *,
    show: bool = True,
    see: str | None = None,
) -> list[Fault]:
    """Every error of one validation of `given`, those of the branches of a union made one.

    Args:
        error: What pydantic found.
        model: What `given` was checked against.
        given: The YAML's values.
        show: Whether messages may show what was given.
        see: A command that lists the keys allowed; None: messages list them.
    """
    schema = json_schema(model)
    found: dict[KeyPath, Fault] = {}
    for detail in error.errors(include_url=False):
        at = _within(detail, given) if show else tuple(detail["loc"])
        message = _said(detail, at, schema, show=show, see=see)
        if not at and detail["type"] == "value_error":
            at, message = _on_its_key(_objection(detail), model)
        found.setdefault(at, Fault(at, detail["type"] == "extra_forbidden", message))
    return list(found.values())


def _said(detail: ErrorDetails, at: KeyPath, schema: Schema, *, show: bool, see: str | None) -> str:
    definitions = schema.get("$defs", {})
    field = field_at(schema, at, definitions)
    given = _given(detail, field) if show else "stands for a value that is not allowed"
    expected = allowed(field, definitions) if field is not None else None
    if detail["loc"][-1:] == ("[key]",):
        return f"is no key to use here{_key_names(schema, at, definitions)}"
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_key(str(at[-1]), field_at(schema, at[:-1], definitions) or {}, see)
        case "value_error" | "assertion_error":
            return f"{given}: {_objection(detail)}"
        case "missing":
            meaning = field.get("description") if field else None
            return f"is missing: {meaning}" if meaning else f"is missing, expected {expected}"
        case _ if expected is None:
            return f"{given}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
        case _:
            return f"{given}, expected {expected}{_hint(detail['input'], field) if show else ''}"


def _unknown_key(key: str, container: Schema, see: str | None) -> str:
    foreign = without_foreign(key)
    return foreign or unknown("key", key, container.get("properties", {}), see=see)


def _key_names(schema: Schema, at: KeyPath, definitions: Mapping[str, Schema]) -> str:
    mapping = field_at(schema, at[:-1], definitions) or {}
    expected = allowed(mapping.get("propertyNames", {}), definitions)
    return f", expected {expected}" if expected else ""


def _objection(detail: ErrorDetails) -> str:
    """What a validator of ours raised."""
    return str(detail.get("ctx", {}).get("error", detail["msg"]))


def _fits(text: str, field: Schema | None) -> bool:
    """Whether the text would be allowed where its number or truth is not."""
    patterns = [one["pattern"] for one in branches(field or {}) if "pattern" in one]
    return all(re.search(pattern, text) for pattern in patterns)


def _on_its_key(objection: str, model: type[BaseModel]) -> tuple[KeyPath, str]:
    """An objection to several keys at once is told of the key it begins with, if it does."""
    key, _, rest = objection.partition(" ")
    return ((key,), rest) if key in model.model_fields else ((), objection)


def _given(detail: ErrorDetails, field: Schema | None) -> str:
    value = detail["input"]
    if value is not None and (_holds_secret(field) or _LOGIN.search(str(value))):
        return "is not shown"
    return described(value)


def _holds_secret(schema: object) -> bool:
    """Whether a value under this schema is, or holds, a SecretStr."""
    if isinstance(schema, dict):
        of = cast("dict[str, object]", schema)
        return of.get("format") == SECRET or any(map(_holds_secret, of.values()))
    return isinstance(schema, list) and any(map(_holds_secret, cast("list[object]", schema)))


def _hint(value: object, field: Schema | None) -> str:
    wants_text = "'string'" in str(field) and "'integer'" not in str(field)
    match value:
        case str() if "${" in value and not wants_text:
            return " (${NAME} can stand for text only)"
        case str() if _NUMBER.fullmatch(value) and not wants_text:
            return "; leave the quotes out"
        case str() if value.lower() in _TRUTHS and "'boolean'" in str(field):
            return "; leave the quotes out"
        case str() if (foreign := without_foreign(value)) is not None:
            return f"; {foreign}"
        case bool() | int() | float() if wants_text and _fits(str(value), field):
            return "; put it in quotes"
        case dict() if wants_text:
            return "; a text that begins with { wants quotes"
        case _:
            return ""


def _within(detail: ErrorDetails, given: object) -> KeyPath:
    """The error's place in what was given, without the names pydantic puts in for unions."""
    at: list[str | int] = []
    for part in detail["loc"]:
        if isinstance(given, dict) and part in given:
            given = cast("dict[str | int, object]", given)[part]
        elif isinstance(given, list) and isinstance(part, int):
            given = cast("list[object]", given)[part]
        elif detail["type"] != "missing" or part != detail["loc"][-1]:
            continue
        at.append(part)
    return tuple(at)


def _cut(text: str) -> str:
    text = " ".join(text.split()) if text.strip() else text
    return text if len(text) <= 40 else f"{text[:40]}…"
