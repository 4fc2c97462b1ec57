import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.functions import FunctionSession, open_function, source_version
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.rows import RowError


def answers(function: Callable[..., Any], *texts: str, **settings: Any) -> list[object]:
    requests = (Request(number, 0, text) for number, text in enumerate(texts))
    pairs = list(FunctionSession(function, settings).answers(requests))
    assert [number for number, _ in pairs] == list(range(len(texts)))
    return [given.text if isinstance(given, Answer) else given for _, given in pairs]


def kinds(function: Callable[..., Any], *texts: str) -> list[str]:
    given = answers(function, *texts)
    return [one.kind if isinstance(one, RowError) else "fine" for one in given]


def test_rows_are_answered_in_order_with_the_settings() -> None:
    assert answers(_cut, "a b c", "d", most_words=2) == ["a b", "d"]


def _cut(text: str, most_words: int = 1) -> str:
    return " ".join(text.split()[:most_words])


def _picky(text: str) -> Any:
    match text:
        case "none":
            return None
        case "value":
            raise ValueError("too short")
        case "bug":
            return {}[text]
        case "own":
            raise RowError("rude_text", "mind your words")
        case "number":
            return 7
        case "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        case "memory":
            raise MemoryError
        case "file":
            return Path("/no/such/file").read_text()
        case "server":
            raise URLError("no such server")
        case _:
            return text


def test_a_row_the_function_does_not_take_costs_one_row() -> None:
    assert kinds(_picky, "a", "none", "value", "bug", "file", "server", "own", "number", "") == [
        "fine",
        "rejected",
        "rejected",
        "function_failed",
        "function_failed",
        "function_failed",
        "rude_text",
        "bad_answer",
        "fine",
    ]


@pytest.mark.parametrize(("text", "fault"), [("full", OSError), ("memory", MemoryError)])
def test_what_no_row_can_cause_ends_the_shard(text: str, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        kinds(_picky, "a", text)


def _spoil(row: dict[str, Any]) -> str:
    row["tags"].append("spoilt")
    row["of"]["whom"] = "nobody"
    return str(row["tags"])


def test_what_a_function_changes_in_its_row_stays_its_own() -> None:
    row = {"tags": ["red"], "of": {"whom": "the user"}}
    session = FunctionSession(_spoil, {}, by_row=True)
    (answered,) = session.answers(iter([Request(0, 0, "", row=row)]))
    assert answered == (0, Answer("['red', 'spoilt']"))
    assert row == {"tags": ["red"], "of": {"whom": "the user"}}


def test_a_function_is_imported_by_its_name() -> None:
    session = open_function("textwrap:shorten", {"width": 9, "placeholder": ""})
    assert dict(session.answers(iter([Request(0, 0, "one two three")]))) == {0: Answer("one two")}


def test_a_builtin_without_a_signature_is_a_function_too() -> None:
    session = open_function("builtins:str", {})
    ((_, answer),) = session.answers(iter([Request(1, 0, "as it is")]))
    assert answer == Answer(text="as it is")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("textwrap:shortn", {}, "has no function 'shortn'"),
        ("textwrapp:shorten", {}, "no module 'textwrapp'"),
        ("textwrap.deeper:shorten", {}, "no module 'textwrap.deeper'"),
        ("textwrap:shorten", {}, "missing a required argument: 'width'"),
    ],
)
def test_what_cannot_be_called_is_told_before_the_first_row(
    name: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnfitSettingError, match=said):
        open_function(name, settings)


def test_a_modules_version_changes_with_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "cleaning_of_a_test.py"
    file.write_text("raise SystemExit('is not run')\n")
    before = source_version("cleaning_of_a_test:clean")
    assert before == source_version("cleaning_of_a_test:other")
    file.write_text("def clean(text): return text\n")
    assert source_version("cleaning_of_a_test:clean") != before
    assert source_version("no_such_module_of_a_test:clean") is None
    assert source_version("no_such_package_of_a_test.cleaning:clean") is None
