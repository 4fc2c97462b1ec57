"""What a field allows, in words, read off the JSON schema of its pydantic model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

Schema = Mapping[str, Any]


def allowed(schema: Schema, definitions: Mapping[str, Schema]) -> str | None:
    """``a whole number, 1 or more``: what a JSON schema takes; None where words fail."""
    schema = _resolved(schema, definitions)
    if "expected" in schema:
        return str(schema["expected"])
    if options := schema.get("anyOf"):
        words = [allowed(one, definitions) for one in options if one.get("type") != "null"]
        return " or ".join(word for word in words if word) or None
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return _alternatives(f"'{one}'" if isinstance(one, str) else str(one) for one in values)
    return _of_type(schema, definitions)


def field_at(
    schema: Schema, at: Sequence[str | int], definitions: Mapping[str, Schema]
) -> Schema | None:
    """The schema of what stands `at` in `schema`; None where it knows of no such thing."""
    current: Schema | None = _resolved(schema, definitions)
    for part in at:
        current = _step(current, part, definitions) if current is not None else None
    return current


def branches(schema: Schema) -> Sequence[Schema]:
    """The alternatives of a union, or the schema itself."""
    return schema.get("anyOf", [schema])


def _step(schema: Schema, part: str | int, definitions: Mapping[str, Schema]) -> Schema | None:
    for branch in (_resolved(one, definitions) for one in branches(schema)):
        patterned = branch.get("patternProperties", {}).values()
        extra = branch.get("additionalProperties") or next(iter(patterned), None)
        known = branch.get("properties", {}).get(part)
        found = branch.get("items") if isinstance(part, int) else known or extra
        if isinstance(found, dict):
            return _resolved(found, definitions)
    return None


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].removeprefix("#/$defs/")]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def json_schema(model: type[BaseModel]) -> Schema:
    """The JSON schema of a model; an empty one where a field's type has none."""
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return {}  # a field of a type that JSON lacks: pydantic's own words must do


def _alternatives(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def _of_type(schema: Schema, definitions: Mapping[str, Schema]) -> str | None:
    match schema.get("type"):
        case "integer":
            return "a whole number" + _range(schema)
        case "number":
            return "a number" + _range(schema)
        case "boolean":
            return "true or false"
        case "string":
            return "text that is not empty" if schema.get("minLength") else "text"
        case "array":
            entry = allowed(schema.get("items", {}), definitions)
            return f"a list, each entry {entry}" if entry else "a list"
        case "object":
            keys = ", ".join(schema.get("required", schema.get("properties", {})))
            return f"a mapping with the keys {keys}" if keys else "a mapping (key: value)"
        case _:
            return None


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {_number(low)} to {_number(high)}"
    bounds = (
        ("minimum", ", {} or more"),
        ("exclusiveMinimum", ", more than {}"),
        ("maximum", ", at most {}"),
        ("exclusiveMaximum", ", below {}"),
    )
    return "".join(words.format(_number(schema[at])) for at, words in bounds if at in schema)


def _number(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)
