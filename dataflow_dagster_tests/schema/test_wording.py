from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from dataflow_dagster.schema.wording import Fault, described, faults


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    size: int = Field(1, ge=1)


class Sorts(BaseModel):
    """One field of every sort that a model's config has."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")

    whole: int = Field(1, ge=1)
    share: float = Field(0.5, gt=0, le=1)
    flag: bool = False
    text: str = Field("a", min_length=1)
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    choice: Literal["a", "b", "c"] = "a"
    stop: str | list[str] | None = None
    inner: Inner = Inner()
    key: SecretStr | None = None
    names: dict[str, int] = Field(default_factory=dict)
    odd: complex = 1j

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.whole == 13:
            raise ValueError("whole must not be 13")
        if self.whole == 14:
            raise ValueError("14 will not do")
        return self


class Plain(Sorts):
    """Without the field that JSON cannot describe."""

    odd: str = ""  # type: ignore[assignment]


def _faults(values: dict[str, Any], model: type[BaseModel] = Plain) -> list[Fault]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(values)
    return faults(raised.value, model, values)


@pytest.mark.parametrize(
    ("values", "at", "message"),
    [
        (
            {"whole": "4"},
            ("whole",),
            "is the text '4', expected a whole number, 1 or more; leave the quotes out",
        ),
        ({"whole": 0}, ("whole",), "is the number 0, expected a whole number, 1 or more"),
        ({"whole": 1.5}, ("whole",), "is the number 1.5, expected a whole number, 1 or more"),
        ({"whole": True}, ("whole",), "is true, expected a whole number, 1 or more"),
        ({"whole": None}, ("whole",), "has no value, expected a whole number, 1 or more"),
        ({"share": 2}, ("share",), "is the number 2, expected a number, more than 0, at most 1"),
        (
            {"flag": "yes"},
            ("flag",),
            "is the text 'yes', expected true or false; leave the quotes out",
        ),
        (
            {"text": 4},
            ("text",),
            "is the number 4, expected text that is not empty; put it in quotes",
        ),
        ({"text": ""}, ("text",), "is an empty text, expected text that is not empty"),
        (
            {"text": {"a": None}},
            ("text",),
            "is a mapping (key: value), expected text that is not "
            "empty; a text that begins with { wants quotes",
        ),
        ({"choice": "d"}, ("choice",), "is the text 'd', expected 'a', 'b' or 'c'"),
        (
            {"stop": 3},
            ("stop",),
            "is the number 3, expected text or a list, each entry text; put it in quotes",
        ),
        ({"stop": ["a", 3]}, ("stop",), "is a list, expected text or a list, each entry text"),
        ({"inner": 3}, ("inner",), "is the number 3, expected a mapping with the keys size"),
        (
            {"inner": {"size": 0}},
            ("inner", "size"),
            "is the number 0, expected a whole number, 1 or more",
        ),
        (
            {"inner": {"sise": 0}},
            ("inner", "sise"),
            "unknown key, did you mean 'size'? Allowed: size",
        ),
        ({"names": {"a": "b"}}, ("names", "a"), "is the text 'b', expected a whole number"),
        (
            {"whole": "${N}"},
            ("whole",),
            "is the text '${N}', expected a whole number, 1 or more "
            "(${NAME} can stand for text only)",
        ),
        ({"whole": 13}, ("whole",), "must not be 13"),
        ({"whole": 14}, (), "14 will not do"),
    ],
)
def test_an_error_says_what_was_given_and_what_is_allowed(
    values: dict[str, Any], at: tuple[str, ...], message: str
) -> None:
    found = _faults(values)
    assert (found[0].at, found[0].message) == (at, message)


def test_every_error_is_told_once() -> None:
    found = _faults({"whole": 0, "share": 0, "stop": 3, "nothing": 1})
    assert [fault.at for fault in found] == [("whole",), ("share",), ("stop",), ("nothing",)]
    assert [fault.unknown_key for fault in found] == [False, False, False, True]


def test_a_secret_of_the_wrong_type_is_not_shown() -> None:
    (fault,) = _faults({"key": 123456})
    assert fault.message == "is not shown, expected text; put it in quotes"


def test_a_value_from_the_environment_is_not_shown() -> None:
    values = {"choice": "sk-123"}
    with pytest.raises(ValidationError) as raised:
        Plain.model_validate(values)
    (fault,) = faults(raised.value, Plain, values, show=False)
    assert fault.message == "stands for a value that is not allowed, expected 'a', 'b' or 'c'"


def test_a_field_that_json_cannot_describe_falls_back_to_pydantic_s_words() -> None:
    (fault,) = _faults({"whole": "4"}, Sorts)
    assert fault.at == ("whole",)
    assert "is the text '4'" in fault.message


def test_a_long_value_is_cut() -> None:
    assert described("x" * 99) == f"is the text '{'x' * 40}…'"
    assert described("a\n\tb") == "is the text 'a b'"
