"""``python -m dataflow_dagster_tests.benchmarks.decoding``: pictures made ready for an engine.

2,000 JPEGs of 640x480 decoded to 336x336 RGB for an engine that answers at once: through a step's
own preparing, and through a hand-written loop of two processes that gives back the pixels. Taken in
turns, so that a busy machine slows both; medians. Aim: at most 1.1 times the loop's time.
"""

import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from dataflow_dagster.media.fetching import Fetcher, MediaRules
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.preparer import Preparer
from dataflow_dagster_tests.benchmarks.instant import SIDE, Instant
from dataflow_dagster_tests.steps import probes

PICTURES = 2000
WARM = 64
RUNS = 5
AIM = 1.1


def decoded(path: str) -> bytes:
    """The loop's own decoding: no check, no limit, no message."""
    return Image.open(path).convert("RGB").resize((SIDE, SIDE)).tobytes()


def by_loop(paths: list[str]) -> float:
    """Seconds of two processes; their start is not counted."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(decoded, paths[:WARM])
        began = time.perf_counter()
        for pixels in pool.imap(decoded, paths, chunksize=16):
            Image.frombytes("RGB", (SIDE, SIDE), pixels)
        return time.perf_counter() - began


def by_step(pipeline: PipelineSpec, paths: list[str]) -> float:
    """Seconds of a step's preparing; the start of its processes is not counted."""
    preparer = Preparer(pipeline, pipeline.steps[0], _given, Fetcher(MediaRules()))
    given = [Work(at, {}, value=path) for at, path in enumerate(paths)]
    list(preparer.prepare(iter(given[:WARM])))
    began = time.perf_counter()
    for _, request in preparer.prepare(iter(given)):
        if getattr(request, "picture", None) is None:
            sys.exit(str(request))
    seconds = time.perf_counter() - began
    preparer.close()
    return seconds


def pictures(folder: Path) -> list[str]:
    """Noise over a ramp: about as long in JPEG as a photo."""
    noise = np.random.default_rng(0).normal(0, 12, (480, 640, 3))
    ramp = np.linspace(0, 255, 640)[None, :, None]
    Image.fromarray(np.clip(noise + ramp, 0, 255).astype(np.uint8)).save(folder / "0.jpg")
    content = (folder / "0.jpg").read_bytes()
    for number in range(PICTURES):
        (folder / f"{number}.jpg").write_bytes(content)
    return [str(folder / f"{number}.jpg") for number in range(PICTURES)]


def _given(work: Work) -> Given:
    return Given(work.number, 0, image=work.value)


def main() -> None:
    """Print both medians and their ratio."""
    probes.register()
    step = {"type": "Probe", "name": Instant.__name__}
    said = yaml.safe_dump({"name": "decoding", "meta_path": "rows.jsonl", "steps": [step]})
    pipeline = parse_pipeline(said, Path("decoding.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        paths = pictures(Path(folder))
        taken = [(by_loop(paths), by_step(pipeline, paths)) for _ in range(RUNS)]
    loop, ours = (statistics.median(seconds) for seconds in zip(*taken, strict=True))
    said = {"two_processes_s": round(loop, 2), "step_s": round(ours, 2)}
    print(json.dumps({**said, "ratio": round(ours / loop, 3), "aim": AIM}))  # noqa: T201  # its result


if __name__ == "__main__":
    main()
