"""Whole runs from the shell, each step in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataflow_dagster.resources.gpus import Gpus
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import (
    PAINT,
    SHOUT,
    pipeline,
    read_rows,
    text_rows,
    with_config,
    write_pipeline,
    write_rows,
)
from dataflow_dagster_tests.toys.process import environment, run_python
from dataflow_dagster_tests.toys.runs import materialize

LIGHT = """
import sys
from dataflow_dagster.cli.main import main
try:
    main(["run", "-c", "demo.yaml", "--limit", "2"])
except SystemExit as ended:
    heavy = "torch vllm diffusers transformers pandas pyarrow numpy PIL".split()
    print(ended.code, [name for name in heavy if name in sys.modules])
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(folder, "-m", "dataflow_dagster", "run", "-c", *arguments)


def test_a_run_ends_with_a_table_and_says_where_everything_is(tmp_path: Path) -> None:
    rows = [*text_rows(5), {"id": "x", "text": "bad [red]one[/red]"}]
    long = "pictures_with_rather_a_long_name"
    write_pipeline(tmp_path, [SHOUT, {**PAINT, "asset": long}], rows=rows)
    done = _run(tmp_path, "demo.yaml")
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines()]
    assert table[0] == ["asset", "row_count", "computed", "reused", "failed", "skipped", "seconds"]
    assert [line[:6] for line in table[1:5]] == [
        ["raw_meta", "6", "6", "0", "0", "0"],
        ["texts", "6", "5", "0", "1", "0"],
        [long, "6", "5", "0", "0", "0"],
        ["results", "6", "5", "0", "0", "0"],
    ]
    assert done.stdout.splitlines()[5:] == [
        f"results: {tmp_path}/demo/out/result.jsonl",
        f"failed rows: {tmp_path}/demo/out/errors.jsonl",
    ]
    (error,) = read_rows(tmp_path / "demo/out/errors.jsonl")
    assert error["message"] == "bad [red]one[/red] is bad"
    said, *bars = done.stderr.splitlines()
    assert said == "texts: Shouter runs on toy 1.0, float32, cpu"
    assert len(bars) == 5, done.stderr  # a bar a step, each drawn once, and the other said line
    assert "\x1b" not in done.stdout + done.stderr


def test_a_limited_run_is_apart_from_the_real_one_and_its_parent_is_light(tmp_path: Path) -> None:
    write_pipeline(tmp_path, [SHOUT, PAINT], rows=text_rows(5), shards=2)
    done = run_python(tmp_path, "-c", LIGHT)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
    assert len(read_rows(tmp_path / "demo/out_limit_2/result.jsonl")) == 2
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "base_limit_2",
        "in.jsonl",
        "out_limit_2",
    ]


@pytest.mark.usefixtures("toys")
def test_one_shard_is_answered_anew_where_that_is_asked(tmp_path: Path) -> None:
    step = with_config(SHOUT, trace=str(tmp_path / "trace"))
    of = pipeline(tmp_path, [step], shards=2)
    for key in ("00000-of-00002", "00001-of-00002"):
        assert materialize(of, partition_key=key).success
    anew = _run(tmp_path, "demo.yaml", "--partition", "00001-of-00002", "--recompute")
    assert anew.returncode == 0, anew.stderr
    texts = next(line for line in anew.stdout.splitlines() if line.startswith("texts"))
    assert texts.split()[:4] == ["texts", "2", "2", "0"]
    assert (tmp_path / "trace").read_text().count("open") == 3
    assert f"results: {tmp_path}/demo/out/result" in anew.stdout


def test_files_become_shards_and_a_run_takes_as_many_as_it_may(tmp_path: Path) -> None:
    for n in range(5):
        write_rows(tmp_path / f"in/part-{n}.jsonl", [{"id": n, "text": f"row {n}"}])
    trace = tmp_path / "trace"
    step = with_config(SHOUT, trace=str(trace))
    keys = {"meta_path": str(tmp_path / "in"), "files_per_shard": 2, "shards_per_run": 2}
    write_pipeline(tmp_path, [step], **keys)
    done = _run(tmp_path, "demo.yaml")
    assert done.returncode == 0, done.stderr
    texts = next(line for line in done.stdout.splitlines() if line.startswith("texts"))
    assert texts.split()[:3] == ["texts", "5", "5"]
    assert trace.read_text().count("open") == 2
    results = sorted((tmp_path / "demo/out/result").glob("*.jsonl"))
    assert [path.stem for path in results] == ["00000-part-0", "00001-part-2", "00002-part-4"]
    write_rows(tmp_path / "in/first.jsonl", [{"id": "new", "text": "new"}, {"id": 3, "text": "x"}])
    again = _run(tmp_path, "demo.yaml", "--partition-range", "00002-part-4...00003-first")
    assert again.returncode == 0, again.stderr
    texts = next(line for line in again.stdout.splitlines() if line.startswith("texts"))
    assert texts.split()[:5] == ["texts", "3", "1", "1", "0"]
    (error,) = read_rows(tmp_path / "demo/out/errors/00003-first.jsonl")
    assert "row 2 of shard 00001" in error["message"]


@pytest.mark.full
@pytest.mark.timeout(240)
def test_two_machines_share_out_the_shards_of_a_new_input(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    step = with_config(SHOUT, trace=str(trace), pause_s=0.02)
    write_pipeline(tmp_path, [step, PAINT], rows=text_rows(40), shards=4)
    runs: list[subprocess.Popen[str]] = []
    for first, last in ((0, 1), (2, 3)):
        home = tmp_path / f"home{first}"
        home.mkdir()
        command = [sys.executable, "-m", "dataflow_dagster", "run", "-c", "demo.yaml"]
        wanted = f"0000{first}-of-00004...0000{last}-of-00004"
        process = subprocess.Popen(
            [*command, "--partition-range", wanted],
            cwd=tmp_path,
            env=environment(tmp_path, {"DAGSTER_HOME": str(home)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        runs.append(process)
    for process in runs:
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
    results = sorted((tmp_path / "demo/out/result").glob("*.jsonl"))
    texts = [row["text"] for path in results for row in read_rows(path)]
    assert texts == [row["text"].upper() for row in text_rows(40)]
    assert trace.read_text().count("open") == 2


@pytest.mark.full
@pytest.mark.timeout(120)
def test_a_retry_takes_shards_that_are_done_and_new_files_wait(tmp_path: Path) -> None:
    for name in "ab":
        rows = [{"id": f"{name}{n}", "text": "bad" if n == 0 else "good"} for n in range(2)]
        write_rows(tmp_path / f"in/{name}.jsonl", rows)
    keys = {"meta_path": "in", "files_per_shard": 1}
    write_pipeline(tmp_path, [SHOUT], **keys)
    assert _run(tmp_path, "demo.yaml", "--retry-failed").stderr.splitlines()[-1] == (
        "in: was never run: run it without --retry-failed"
    )
    assert _run(tmp_path, "demo.yaml").returncode == 0
    write_rows(tmp_path / "in/c.jsonl", text_rows(1))
    done = _run(tmp_path, "demo.yaml", "--retry-failed")
    assert done.returncode == 0, done.stderr
    assert "1 new files (c.jsonl) wait for a run without --retry-failed" in done.stderr
    assert done.stdout.splitlines()[2].split()[:5] == ["texts", "4", "0", "2", "2"]
    assert len(list((tmp_path / "demo/out/result").glob("*.jsonl"))) == 2


@pytest.mark.full
def test_a_file_that_cannot_be_read_keeps_no_later_run_from_its_shards(tmp_path: Path) -> None:
    for name in "ac":
        write_rows(tmp_path / f"in/{name}.jsonl", [{"id": name, "text": name}])
    (tmp_path / "in/b.jsonl.gz").write_bytes(b"no gzip")
    write_pipeline(tmp_path, [SHOUT], meta_path="in", files_per_shard=1, shards_per_run=1)
    done = _run(tmp_path, "demo.yaml")
    assert done.returncode == 1
    assert "1 of 1 shards were not made: 00001-b: in/b.jsonl.gz" in done.stderr
    made = sorted(path.name for path in (tmp_path / "demo/out/result").glob("*.jsonl"))
    assert made == ["00000-a.jsonl", "00002-c.jsonl"]


def test_an_interrupted_run_ends_soon_and_keeps_what_is_done(tmp_path: Path) -> None:
    write_pipeline(tmp_path, [with_config(SHOUT, pause_s=0.3)], rows=text_rows(400))
    process = subprocess.Popen(
        [sys.executable, "-m", "dataflow_dagster", "run", "-c", "demo.yaml"],
        cwd=tmp_path,
        env=environment(tmp_path),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    part = tmp_path / "demo/base/step_1_Toy_Shouter/result.part"
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1, out + err
    assert err.splitlines()[-1] == (
        "texts was interrupted: what is done is kept, run it again to go on"
    )
    assert read_rows(part)


@pytest.mark.timeout(120)
def test_what_a_step_waits_for_is_shown_while_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pipeline(tmp_path, [{**SHOUT, "resources": {"gpus": 1}}])
    monkeypatch.setenv("DATAFLOW_GPUS", "0")
    command = [sys.executable, "-m", "dataflow_dagster", "run", "-c", "demo.yaml"]
    with (
        Gpus(1, print, "another", folder=tmp_path / "gpu_locks").lease(),
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(tmp_path, {"DATAFLOW_GPUS": "0"}),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        told = f"texts: waiting for 1 of 1 GPUs; 0: another (process {os.getpid()})\n"
        assert process.stderr.readline() == told
        process.kill()


@pytest.mark.parametrize(
    ("home", "code", "told"),
    [
        ("", 2, "demo.yaml: steps on Ray write their events to the storage of DAGSTER_HOME, which"),
        ("home", 1, "Failed to connect to Ray at address: http://127.0.0.1:9.\nRAY_ADDRESS is"),
    ],
)
def test_a_run_on_ray_says_what_it_lacks(tmp_path: Path, home: str, code: int, told: str) -> None:
    require("ray.dashboard", "pip install -e '.[ray]'")
    require("dagster_ray", "pip install -e '.[ray]'")
    write_pipeline(tmp_path, [SHOUT], executor="ray")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    extra = {"RAY_ADDRESS": "http://127.0.0.1:9", "DAGSTER_HOME": home and str(tmp_path / home)}
    done = run_python(tmp_path, "-m", "dataflow_dagster", "run", "-c", "demo.yaml", extra=extra)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
