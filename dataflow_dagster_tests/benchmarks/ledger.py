"""``python -m dataflow_dagster_tests.benchmarks.ledger``: rows a second through each asset.

200,000 rows of some 200 bytes, jsonl to jsonl, an engine that answers at once. Each figure is a
whole process less the same on 10 rows, so that imports do not count, beside a bare loop of the same
file through orjson in the same run: by the clock, and by the CPU time of all its threads, which
says more where the machine has other work to do. Best of some runs.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import orjson
import yaml

from dataflow_dagster import registry
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import Medium
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.raw_meta import RawMeta, input_index
from dataflow_dagster.steps.results import Results

ROWS = 200_000
FEW = 10
RUNS = 3
UNCHANGED = "step, unchanged"
AIMS = {"step": 60_000, "step, all known": 150_000}
AIMED_LOOP = 900_000
"""Rows a second of the bare loop on the machine that the aims were set for."""


class Cost(NamedTuple):
    """Seconds by the clock, and of CPU."""

    clock_s: float
    cpu_s: float


class EchoSession:
    """Answers each request at once with its prompt."""

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """One answer a request, in order."""
        for request in requests:
            yield request.number, Answer(text=request.prompt)

    def close(self) -> None:
        """Nothing."""


class Echo(Model):
    """Says a text again."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "texts"

    def engine(self) -> Engine:
        """None but Python."""
        return Engine("echo", "1", "float32", "cpu")

    def request(self, given: Given) -> Request:
        """The text is the prompt."""
        return Request(given.number, given.seed, given.text or "")

    def open(self, engine: Engine) -> Session:
        """Nothing to load."""
        return EchoSession()


def bare(folder: Path) -> None:
    """What reading and writing the rows costs at the least."""
    with (folder / "rows.jsonl").open("rb") as read, (folder / "bare.jsonl").open("wb") as written:
        for line in read:
            written.write(orjson.dumps(orjson.loads(line)) + b"\n")


def raw_meta(folder: Path) -> None:
    """The index and the rows with their ids."""
    pipeline = pipeline_of(folder)
    target = Layout(pipeline).shard(RAW_META)
    RawMeta(pipeline, input_index(pipeline)).write_shard(target, 0, 1, recompute=False)


def step(folder: Path) -> None:
    """Every row answered, or known."""
    pipeline = pipeline_of(folder)
    layout = Layout(pipeline)
    with StepRun(pipeline, pipeline.steps[0]) as run:
        run.answer_shard(layout.shard(RAW_META), layout.shard("texts"))


def compare(folder: Path) -> None:
    """As `step` where all answers are known and the rows read are said to be others."""
    source = Layout(pipeline_of(folder)).shard(RAW_META)
    source.manifest_path.unlink(missing_ok=True)
    source.path.touch()
    step(folder)


def results(folder: Path) -> None:
    """The user's own keys."""
    pipeline = pipeline_of(folder)
    layout = Layout(pipeline)
    Results(pipeline).write_shard(layout.shard("texts"), layout.shard(RESULTS))


PHASES: dict[str, Callable[[Path], None]] = {
    "bare orjson loop": bare,
    "raw_meta": raw_meta,
    "step": step,
    UNCHANGED: step,
    "step, all known": compare,
    "results": results,
}


def pipeline_of(folder: Path, *, shards: int | None = None) -> PipelineSpec:
    """One step over ``rows.jsonl`` in `folder`."""
    said = {
        **({} if shards is None else {"shards": shards}),
        "name": "bench",
        "meta_path": str(folder / "rows.jsonl"),
        "base_folder": str(folder / "base"),
        "save_folder": str(folder / "out"),
        "steps": [{"type": "Bench", "name": "Echo"}],
    }
    return parse_pipeline(yaml.safe_dump(said), folder / "bench.yaml")


def write_input(folder: Path, rows: int) -> None:
    """Rows of some 200 bytes with ids of their own."""
    folder.mkdir(parents=True)
    text = "a picture of what people have in such files, about as long as they write it " * 2
    with (folder / "rows.jsonl").open("wb") as file:
        for number in range(rows):
            row = {"id": f"row-{number}", "text": f"{text}{number}", "n": number}
            file.write(orjson.dumps(row) + b"\n")


def seconds(phase: str, folder: Path) -> Cost:
    """Of a whole process."""
    began, before = time.perf_counter(), os.times()
    module = "dataflow_dagster_tests.benchmarks.ledger"
    subprocess.run([sys.executable, "-m", module, phase, str(folder)], check=True)
    took, after = time.perf_counter() - began, os.times()
    user = after.children_user - before.children_user
    return Cost(took, user + after.children_system - before.children_system)


def costs(work: Path) -> dict[str, tuple[Cost, Cost]]:
    """What many rows of each phase cost, and few, one run each."""
    for name, rows in (("many", ROWS), ("few", FEW)):
        write_input(work / name, rows)
    return {
        phase: (seconds(phase, work / "many"), seconds(phase, work / "few")) for phase in PHASES
    }


def best_of(found: list[dict[str, tuple[Cost, Cost]]], phase: str) -> Cost:
    """The least that many rows were seen to cost, less the least that few were."""
    many, few = zip(*(one[phase] for one in found), strict=True)
    clock, cpu = (min(costs) for costs in zip(*many, strict=True))
    few_clock, few_cpu = (min(costs) for costs in zip(*few, strict=True))
    return Cost(clock - few_clock, cpu - few_cpu)


def main() -> None:
    """Print the best of some runs, or do one phase."""
    registry.register("Bench")(Echo)
    if len(sys.argv) > 1:
        PHASES[sys.argv[1]](Path(sys.argv[2]))
        return
    found: list[dict[str, tuple[Cost, Cost]]] = []
    for run in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            found.append(costs(Path(folder) / str(run)))
    best = {phase: best_of(found, phase) for phase in PHASES}
    unchanged = best.pop(UNCHANGED)
    for phase, cost in best.items():
        rate, cpu_rate = ((ROWS - FEW) / took for took in cost)
        aimed = AIMS.get(phase)
        aim = f"  (aim: {aimed:,}, {AIMED_LOOP / aimed:.1f} times)" if aimed else ""
        loops = cost.cpu_s / best["bare orjson loop"].cpu_s
        said = f"{rate:>10,.0f} rows/s {cpu_rate:>10,.0f} rows a CPU second"
        tell(f"{phase:<18}{said}, {loops:5.1f} times the loop's{aim}")
    said = f"{unchanged.clock_s * 1000:+,.0f} ms beside {FEW} rows"
    tell(f"{UNCHANGED:<18}{said}: its manifest tells, no row is read")


def tell(line: str) -> None:
    """Say it at once."""
    print(line, flush=True)  # noqa: T201  # its result


if __name__ == "__main__":
    main()
