from pydantic import BaseModel, Field

from dataflow_dagster.schema.expectation import allowed, branches, field_at, json_schema


class Bounds(BaseModel):
    """Numbers with every sort of bound."""

    between: int = Field(ge=1, le=100_000)
    below: float = Field(lt=0.5)
    words: list[str]
    named: int = Field(json_schema_extra={"expected": "a lucky number"})
    maybe: int | None = None
    one: list["Bounds"] = Field(default_factory=list)


def _words(*at: str | int) -> str | None:
    schema = json_schema(Bounds)
    definitions = schema["$defs"]
    field = field_at(schema, at, definitions)
    return None if field is None else allowed(field, definitions)


def test_bounds_are_written_as_plain_numbers() -> None:
    assert _words("between") == "a whole number, 1 to 100000"
    assert _words("below") == "a number, below 0.5"


def test_a_field_s_own_words_come_first() -> None:
    assert _words("named") == "a lucky number"


def test_none_is_not_offered() -> None:
    assert _words("maybe") == "a whole number"


def test_entries_and_nested_models_are_described() -> None:
    assert _words("words") == "a list, each entry text"
    assert _words("words", 3) == "text"
    assert _words("one", 0, "one", 1, "between") == "a whole number, 1 to 100000"


def test_what_is_not_in_the_schema_has_no_words() -> None:
    assert _words("nothing") is None
    assert _words("between", "deeper") is None


def test_the_branches_of_a_union_are_its_alternatives() -> None:
    assert len(branches(json_schema(Bounds)["$defs"]["Bounds"]["properties"]["maybe"])) == 2
