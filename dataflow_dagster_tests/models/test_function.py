import re
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from dataflow_dagster.models.function import PythonFunction
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster_tests.toys.pipelines import pipeline, read_rows
from dataflow_dagster_tests.toys.runs import failure_of, materialize, told

CLEANING = '''"""Cleans captions."""


def clean_text(text: str, *, most_words: int = 99) -> str | None:
    words = text.split()
    if not words:
        return None
    if "http" in text:
        raise ValueError("an address is no caption")
    return " ".join(words[:most_words])


def join(row: dict, *, mark: str = "") -> str:
    row["text"] = "what is done to it changes nothing"
    return f"{row['title']}: {', '.join(row['tags'])}{mark}"
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


def test_the_function_of_the_docs_does_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    package = f"docs_{uuid4().hex}"
    (tmp_path / f"{package}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    steps = yaml.safe_load(said.replace("my_package.cleaning", package))
    assert materialize(pipeline(tmp_path, steps, rows=ROWS)).success
    rows = read_rows(tmp_path / "demo" / "out" / "result.jsonl")
    assert [row.get("dataflow_error", {}).get("kind") for row in rows] == [
        None,
        "rejected",
        "rejected",
        None,
    ]
    assert rows[0]["text"] == "a b c"


def test_a_step_may_name_the_function_itself(cleaning: str, tmp_path: Path) -> None:
    named = {"type": "Function", "name": cleaning, "config": {"settings": {"most_words": 1}}}
    spec = pipeline(tmp_path, [named], rows=ROWS)
    assert materialize(spec).success
    assert spec.steps[0].folder == f"step_1_Function_{cleaning.replace(':', '.')}"
    rows = read_rows(tmp_path / "demo" / "out" / "result.jsonl")
    assert [row["text"] for row in rows] == ["a", " ", "http", "d"]


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("my_package.cleaning.clean", {}, r"name: .*module:name of a function"),
        ("my_package.cleaning:", {}, r"name: .*expected module:name"),
        ("my package:clean", {}, r"name: .*expected module:name"),
        ("no_such_module:clean", {}, r"name: .*Python does not find"),
        ("textwrap:dedent", {"function": "textwrap:fill"}, "by the step's 'name' already"),
    ],
)
def test_a_name_that_is_no_function_is_told_at_its_line(
    name: str, config: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError, match=said):
        pipeline(tmp_path, [{"type": "Function", "name": name, "config": config}])


def test_a_function_that_takes_the_row_reads_every_column(cleaning: str, tmp_path: Path) -> None:
    rows = [{"title": "cat", "tags": ["soft", "red"]}, {"title": "dog", "tags": [], "text": "old"}]
    by_row = {"type": "Function", "name": cleaning.replace("clean_text", "join")}

    def run(rows: list[dict[str, object]]) -> tuple[list[str], int]:
        spec = pipeline(tmp_path, [by_row], rows=rows)
        done = materialize(spec)
        assert done.success
        given = read_rows(tmp_path / "demo" / "out" / "result.jsonl")
        return [row["text"] for row in given], told(done, "demo", "texts")["reused"]

    assert run(rows) == (["cat: soft, red", "dog: "], 0)
    rows[1]["tags"] = ["loud"]
    assert run([{"id": "1", **rows[0]}, {"id": "2", **rows[1]}])[0] == [
        "cat: soft, red",
        "dog: loud",
    ]
    rows[1]["tags"] = ["mild"]
    again = run([{"id": "1", **rows[0]}, {"id": "2", **rows[1]}])
    assert again == (["cat: soft, red", "dog: mild"], 1)


def test_the_folder_of_a_module_is_found_without_running_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "heavy_package_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('is not run')\n")
    (package / "captions.py").write_text(CLEANING)
    monkeypatch.syspath_prepend(tmp_path)
    before = PythonFunction(function=f"{package.name}.captions:clean_text").key_settings()
    assert before["source"]
    raised = PythonFunction(function=f"{package.name}.captions:clean_text", version=2)
    assert raised.key_settings() != before


def test_a_name_that_is_none_is_told_with_the_form(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="expected module:name"):
        pipeline(tmp_path, [step("my_package.cleaning.clean_text")])


def test_a_function_that_is_not_there_is_told_in_plain_words(tmp_path: Path) -> None:
    failed = materialize(pipeline(tmp_path, [step("textwrap:shortn")]))
    assert "'textwrap' has no function 'shortn'" in failure_of(failed, "demo__texts")


MEDIA = """
from pathlib import Path

def media(row: dict) -> str:
    paths = [row.get(f"dataflow_{medium}") for medium in ("image", "video")]
    return " ".join("none" if path is None else Path(path).read_text() for path in paths)
"""


@pytest.fixture
def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module's name."""
    name = f"looking_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MEDIA)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_function_of_the_row_is_given_its_picture_and_clip_and_told_when_they_change(
    looking: str, tmp_path: Path
) -> None:
    (tmp_path / "demo").mkdir()
    for name in ("a.png", "a.mp4"):
        (tmp_path / "demo" / name).write_text("one")
    rows = [{"image": "a.png", "video": "a.mp4"}, {"image": 7}, {"video": "../out.mp4"}]

    def run(*more: dict[str, object]) -> list[str]:
        step = {"type": "Function", "name": f"{looking}:media"}
        assert materialize(pipeline(tmp_path, [step], rows=[*rows, *more])).success
        return [row["text"] for row in read_rows(tmp_path / "demo" / "out" / "result.jsonl")]

    assert run() == ["one one", "none none", "none none"]
    (tmp_path / "demo" / "a.mp4").write_text("other")
    assert run({"n": 1})[0] == "one other"
    (tmp_path / "demo" / "a.png").write_text("another")
    assert run({"n": 2})[0] == "another other"
