from pathlib import Path
from uuid import uuid4

import pytest

from dataflow_dagster.models.function import PythonFunction
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster_tests.toys.pipelines import pipeline, read_rows
from dataflow_dagster_tests.toys.runs import failure_of, materialize

CLEANING = '''"""Cleans captions."""


def clean_text(text: str, *, most_words: int = 99) -> str | None:
    words = text.split()
    if not words:
        return None
    if "http" in text:
        raise ValueError("an address is no caption")
    return " ".join(words[:most_words])
'''
ROWS = [{"id": str(at), "text": text} for at, text in enumerate(["a  b c", " ", "http", "d"])]


def step(function: str, **settings: object) -> dict[str, object]:
    config = {"function": function, "settings": settings}
    return {"type": "Function", "name": "PythonFunction", "config": config}


@pytest.fixture
def cleaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A function in a package of the user's own, importable for one test."""
    package = tmp_path / "user" / f"user_{uuid4().hex}"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "captions.py").write_text(CLEANING)
    monkeypatch.syspath_prepend(package.parent)
    return f"{package.name}.captions:clean_text"


def test_a_users_function_is_a_step_like_any_other(cleaning: str, tmp_path: Path) -> None:
    spec = pipeline(tmp_path, [step(cleaning, most_words=2)], rows=ROWS)
    assert materialize(spec).success
    rows = read_rows(tmp_path / "demo" / "out" / "result.jsonl")
    assert [row["text"] for row in rows] == ["a b", " ", "http", "d"]
    assert [row.get("dataflow_error") for row in rows] == [
        None,
        {"step": "texts", "kind": "rejected", "message": "the function returned None for it"},
        {"step": "texts", "kind": "rejected", "message": "an address is no caption"},
        None,
    ]


def test_an_edit_of_the_module_or_a_setting_makes_answers_anew(
    cleaning: str, tmp_path: Path
) -> None:
    plain = PythonFunction(function=cleaning).key_settings()
    assert PythonFunction(function=cleaning).key_settings() == plain
    changed = PythonFunction(function=cleaning, settings={"most_words": 1})
    assert changed.key_settings() != plain
    (file,) = (tmp_path / "user").glob("*/captions.py")
    file.write_text(CLEANING + "\n\nNEW = True\n")
    assert PythonFunction(function=cleaning).key_settings() != plain


def test_a_module_that_is_not_there_is_told_when_the_yaml_is_read(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"function.*'no_such_module'.*does not find"):
        pipeline(tmp_path, [step("no_such_module:clean")])


def test_a_name_that_is_none_is_told_with_the_form(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="expected module:name"):
        pipeline(tmp_path, [step("my_package.cleaning.clean_text")])


def test_a_function_that_is_not_there_is_told_in_plain_words(tmp_path: Path) -> None:
    failed = materialize(pipeline(tmp_path, [step("textwrap:shortn")]))
    assert "'textwrap' has no function 'shortn'" in failure_of(failed, "demo__texts")
