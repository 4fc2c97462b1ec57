"""``python -m dataflow_dagster_tests.benchmarks.memory [ROWS]``: whether memory grows with rows.

The peak of a fresh process for each asset, an engine that answers at once, shards of 10,000 rows:
100,000 rows, then 1,000,000 (or so many as are asked for).
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dataflow_dagster import registry
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.raw_meta import RawMeta, input_index
from dataflow_dagster.steps.results import Results
from dataflow_dagster_tests.benchmarks.ledger import Echo, pipeline_of, write_input
from dataflow_dagster_tests.steps.driving import partition_keys

FEW = 100_000
MANY = 1_000_000
SHARD_ROWS = 10_000
AIM = 1.1


def shards(pipeline: PipelineSpec, asset: str) -> Iterator[Shard]:
    """All of an asset's, in order."""
    layout = Layout(pipeline)
    return (layout.shard(asset, key) for key in partition_keys(pipeline))


def raw_meta(pipeline: PipelineSpec) -> None:
    """The index and the rows with their ids."""
    made = RawMeta(pipeline, input_index(pipeline))
    for part, target in enumerate(shards(pipeline, RAW_META)):
        made.write_shard(target, part, pipeline.shards or 1, recompute=False)


def step(pipeline: PipelineSpec) -> None:
    """Every row answered, or known."""
    pairs = zip(shards(pipeline, RAW_META), shards(pipeline, "texts"), strict=True)
    with StepRun(pipeline, pipeline.steps[0]) as run:
        for source, target in pairs:
            run.answer_shard(source, target)


def results(pipeline: PipelineSpec) -> None:
    """The user's own keys."""
    pairs = zip(shards(pipeline, "texts"), shards(pipeline, RESULTS), strict=True)
    made = Results(pipeline)
    for source, target in pairs:
        made.write_shard(source, target)


PHASES: dict[str, Callable[[PipelineSpec], None]] = {
    "raw_meta": raw_meta,
    "step": step,
    "results": results,
}


def own_peak() -> int:
    """KiB this process ever had in memory; unlike ``ru_maxrss`` without those of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def peak(phase: str, folder: Path, parts: int) -> int:
    """KiB that a fresh process needs for one asset."""
    command = [sys.executable, "-m", "dataflow_dagster_tests.benchmarks.memory"]
    told = subprocess.run(
        [*command, phase, str(folder), str(parts)], check=True, capture_output=True, text=True
    )
    return int(told.stdout)


def peaks(work: Path, rows: int) -> dict[str, int]:
    """KiB by asset."""
    folder = work / str(rows)
    write_input(folder, rows)
    return {phase: peak(phase, folder, rows // SHARD_ROWS) for phase in PHASES}


def main() -> None:
    """Print a line an asset, or do one phase and print its peak."""
    registry.register("Bench")(Echo)
    if len(sys.argv) > 2:
        PHASES[sys.argv[1]](pipeline_of(Path(sys.argv[2]), shards=int(sys.argv[3])))
        sys.stdout.write(f"{own_peak()}\n")
        return
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    with tempfile.TemporaryDirectory() as work:
        few, lot = (peaks(Path(work), rows) for rows in (FEW, many))
    for phase in PHASES:
        share = lot[phase] / few[phase]
        said = f"{few[phase] / 1024:7.1f} MiB at {FEW:,} rows, {lot[phase] / 1024:7.1f} at {many:,}"
        sys.stdout.write(f"{phase:<10}{said}: {share:.2f} (aim: {AIM} at most)\n")


if __name__ == "__main__":
    main()
