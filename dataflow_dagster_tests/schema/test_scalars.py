import math
from pathlib import Path

import pytest

from dataflow_dagster.schema.document import read_document


def _value(word: str) -> object:
    return read_document(f"a: {word}", Path("x.yaml")).root["a"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("0b101", 5),
        ("1e-3", 0.001),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("No", False),
        ("on", True),
        ("~", None),
        ("null", None),
        ("", None),
        ("16:9", "16:9"),
        ("010", "010"),
        ("2026-11-22", "2026-11-22"),
        ("=", "="),
        ("1__0", "1__0"),
        ("12e", "12e"),
        ("'4'", "4"),
        ("!!str 4", "4"),
        ("!!int '4'", 4),
        ("!!float 4", 4.0),
        ("!!bool 'yes'", True),
    ],
)
def test_a_word_has_the_value_and_type_it_looks_like(word: str, value: object) -> None:
    given = _value(word)
    assert given == value
    assert type(given) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(_value(".nan"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("!!int abc", "'abc' is no !!int that can be read"),
        ("!!bool maybe", "'maybe' is no !!bool"),
        ("!!null x", "'x' is no !!null"),
        ("!!python/name:os.system x", "!!python/name:os.system has no meaning here"),
        ("!secret x", "the YAML tag !secret has no meaning here"),
        ("9" * 5000, "is no !!int that can be read"),
        ("0x" + "f" * 5000, "is no !!int that can be read"),
    ],
)
def test_a_word_that_does_not_fit_its_tag_is_a_problem(word: str, message: str) -> None:
    (problem,) = read_document(f"a: {word}", Path("x.yaml")).problems
    assert message in problem.message
    assert (problem.line, problem.key) == (1, "a")
