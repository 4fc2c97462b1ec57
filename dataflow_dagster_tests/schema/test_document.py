import itertools
import time
from pathlib import Path

import pytest

from dataflow_dagster.schema.document import Document, read_document
from dataflow_dagster.schema.errors import PipelineError, Place

PATH = Path("x.yaml")


def _read(text: str) -> Document:
    return read_document(text, PATH)


def test_every_key_and_entry_has_its_place() -> None:
    document = _read("a: 1\nsteps:\n  - type: X\n    config:\n      b: [1, 2]\n")
    assert document.root == {"a": 1, "steps": [{"type": "X", "config": {"b": [1, 2]}}]}
    assert document.place(("steps", 0)) == Place(3, 5)
    assert document.place(("steps", 0, "config", "b")) == Place(5, 7)
    assert document.place(("steps", 0, "config", "b", 1)) == Place(5, 14)


def test_what_is_not_there_stands_where_it_should_be() -> None:
    document = _read("steps:\n  - type: X\n")
    assert document.place(("steps", 0, "config", "b")) == Place(2, 5)
    assert document.place(("meta_path",)) == Place(1, 1)


def test_an_empty_text_holds_nothing() -> None:
    assert _read("").root is None
    assert _read("# nothing\n").root is None


def test_keys_are_text_as_they_were_written() -> None:
    assert _read("1: a\non: b\n0x1F: c\n").root == {"1": "a", "on": "b", "0x1F": "c"}


def test_anchors_aliases_and_merge_keys_are_written_out() -> None:
    text = "d: &d {a: 1, b: 2}\nx:\n  <<: *d\n  b: 3\ny: *d\nz: {<<: [{a: 5}, *d]}\n"
    document = _read(text)
    assert document.root["x"] == {"b": 3, "a": 1}
    assert document.root["y"] == {"a": 1, "b": 2}
    assert document.root["z"] == {"a": 5, "b": 2}
    assert document.place(("x", "a")) == Place(1, 8)
    assert document.problems == ()


def test_a_quoted_merge_key_is_a_key() -> None:
    assert _read("'<<': 1\n").root == {"<<": 1}


def test_a_key_given_twice_names_both_lines_and_keeps_the_first() -> None:
    document = _read("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert document.root == {"a": 1, "b": {"c": 1}}
    assert sorted((p.line, p.key) for p in document.problems) == [(4, "b.c"), (5, "a")]
    assert any("in line 1 and in line 5" in problem.message for problem in document.problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {{ b }}", "a key must be a word"),
        ("? [1, 2]\n: 3\n", "a key must be a word"),
        ("a: {<<: 3}", "<< takes a mapping"),
        ("a: !!python/object/apply:os.system ['x']", "has no meaning here"),
        ("a: !!set {x, y}", "!!set has no meaning here"),
    ],
)
def test_what_has_no_plain_value_is_a_problem(text: str, words: str) -> None:
    assert any(words in problem.message for problem in _read(text).problems)


def _laughs() -> str:
    names = "abcdefghijkl"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    pairs = itertools.pairwise(names)
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairs]
    return "\n".join(lines)


def _merged_laughs() -> str:
    lines = ["a: &a {x: 1}"]
    lines += [
        f"b{n}: &b{n} {{<<: [{', '.join(['*a' if not n else f'*b{n - 1}'] * 9)}]}}"
        for n in range(20)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_laughs(), "more than 20000 values"),
        (_merged_laughs(), "more than 20000 values"),
        ("a: &a [*a]", "stands within what it names"),
        ("a: &a {<<: *a}", "stands within what it names"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("{a: " * 100_000, "nested more than 32 deep"),
        ("- " * 50_000, "nested more than 32 deep"),
    ],
)
def test_a_hostile_text_is_refused_cheaply(text: str, words: str) -> None:
    began = time.process_time()
    with pytest.raises(PipelineError, match=words) as raised:
        _read(text)
    assert time.process_time() - began < 5
    assert raised.value.problems[0].line is not None
