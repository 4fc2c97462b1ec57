"""``python -m dataflow_dagster_tests.benchmarks.engines [vllm|transformers|diffusers|api …]``.

Pictures/s of a step through our whole path (files in, ledger out) against the bare engine on the
same pictures in memory, called in its best pattern: in one process, in turns, medians. Opening the
engine counts for neither. Aim: at least 0.95 of the bare engine.

Beside the ratio stands where the rest goes: what the path costs without an engine, and how much of
that is reading and decoding files. On a machine whose engine runs on the same cores, that work is
taken from the engine; beside a GPU it is not.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster_tests.benchmarks.bare.engines import (
    call_api,
    call_diffusers,
    call_transformers,
    call_vllm,
    forget_pictures,
)
from dataflow_dagster_tests.benchmarks.bare.material import (
    LARGE,
    SMALL,
    Job,
    make_job,
    make_pictures,
    make_texts,
)

AIM = 0.95
RUNS = 3
CORES = os.cpu_count()
NEVER: Callable[[Any], None] = lambda session: None  # noqa: E731


@dataclass(frozen=True)
class Case:
    """One engine on one input.

    Attributes:
        bare: Calls the engine that a session holds; gives the number of answers.
        forget: Empties the engine's caches, before each run.
    """

    name: str
    job: Job
    bare: Callable[[Any, list[Request]], int]
    forget: Callable[[Any], None] = NEVER


class Instant:
    """An engine that takes no time, so that what remains is the path."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        return ((request.number, self._answer) for request in requests)

    def close(self) -> None:
        pass


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and CPU seconds that `work` takes, here and in the processes that decode."""
    began, cpu = time.perf_counter(), cpu_s()
    work()
    return time.perf_counter() - began, cpu_s() - cpu


def cpu_s() -> float:
    """Of all threads of this process and of those it started, but for the server."""
    this = psutil.Process()
    spent = 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            if "bare.server" not in " ".join(process.cmdline()):
                spent += process.cpu_times().user + process.cpu_times().system
    return spent


def measure(case: Case) -> None:
    """Print the case's line."""
    job, count = case.job, len(case.job.requests)
    bare: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []
    with StepRun(job.pipeline, job.pipeline.steps[0], recompute=True) as run:
        session = run.session()
        for repetition in range(-1, RUNS):  # the first warms up
            case.forget(session)
            bare.append(timed(lambda: expect(case.bare(session, job.requests), count)))
            case.forget(session)
            target = job.target(repetition)
            ours.append(timed(lambda target=target: answer(run, job, target)))
    del bare[0], ours[0]
    path, reading = path_alone(job), reading_alone(job)
    ratio = statistics.median(a[0] / b[0] for a, b in zip(bare, ours, strict=True))
    bare_ms, bare_cpu = (1000 * statistics.median(x) / count for x in zip(*bare, strict=True))
    ours_ms, ours_cpu = (1000 * statistics.median(x) / count for x in zip(*ours, strict=True))
    told = "" if ratio >= AIM else f" (aim: {AIM})"
    tell(
        f"{case.name:<38} bare {1000 / bare_ms:7.1f}/s  ours {1000 / ours_ms:7.1f}/s  "
        f"ratio {ratio:.2f}{told}\n"
        f"    a picture: bare {bare_ms:.1f} ms ({bare_cpu:.1f} of CPU), "
        f"ours {ours_ms:.1f} ms ({ours_cpu:.1f} of CPU); "
        f"path without engine {path:.1f} of CPU, of which reading files {reading:.1f}"
    )


def beside(bare: Callable[[Any, list[Request]], int], session: Any, given: list[Request]) -> int:
    """Call the engine in a thread of its own, where our sessions of batches call it too.

    torch's threads wait for each other there; in the main thread of a busy machine they were seen
    to take ten times as long over small models, which would flatter us.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(bare, session, given).result()


def answer(run: StepRun, job: Job, target: Any) -> None:
    manifest = run.answer_shard(job.source, target)
    expect(manifest.tally.computed, len(job.requests))


def expect(given: int, wanted: int) -> None:
    if given != wanted:
        raise SystemExit(f"{given} answers of {wanted}")


def path_alone(job: Job) -> float:
    """CPU milliseconds a row, with an engine that answers at once."""
    step = job.pipeline.steps[0]
    with StepRun(job.pipeline, step, recompute=True) as run:
        run._session = Instant(_any_answer(job))  # noqa: SLF001  # in place of the real one
        spent = [timed(lambda n=n: answer(run, job, job.target(100 + n)))[1] for n in range(3)]
    return 1000 * min(spent[1:]) / len(job.requests)


def _any_answer(job: Job) -> Answer:
    config = job.pipeline.steps[0].config
    if config.writes == "text":
        return Answer(text="a cat asleep on a chair", details={"prompt_tokens": 7})
    from dataflow_dagster_tests.pictures import natural

    return Answer(picture=natural((config.width, config.height), 0))  # type: ignore[attr-defined]


def reading_alone(job: Job) -> float:
    """CPU milliseconds a row, of making a request of it."""
    from dataflow_dagster.models.declaration import Given

    step = job.pipeline.steps[0]
    if step.config.reads == "text":
        return 0.0
    paths = [row["dataflow_image"] for row in job.source.rows()]
    _, spent = timed(lambda: [step.config.request(Given(0, 0, image=path)) for path in paths])
    return 1000 * spent / len(paths)


def captioning(folder: Path, engine: str) -> Iterator[Case]:
    from dataflow_dagster_tests.engines.checkpoints.published import llava
    from dataflow_dagster_tests.engines.requests import LLAVA

    bare, forget = partial(beside, call_transformers), NEVER
    if engine == "vllm":
        bare, forget = call_vllm, forget_pictures
    keys = {"backend": engine, "max_model_len": 512, "max_tokens": 16}
    busy = {**keys, "model_path": llava(folder / "llava", "small")}
    demo = {**keys, "model_path": LLAVA, "temperature": 0, "repetition_penalty": 1}
    inputs = (("small JPEGs", SMALL, 48), ("2000x1500 JPEGs", LARGE, 24))
    for told, size, count in inputs:
        rows = make_pictures(folder / told, count, size)
        job = make_job(folder / f"busy {told}", rows, "ImageCaptioner", "LLaVACaptioner", busy)
        yield Case(f"{engine}, {told}", job, bare, forget)
    rows = make_pictures(folder / "many", 256, SMALL)
    job = make_job(folder / "demo", rows, "ImageCaptioner", "LLaVACaptioner", demo)
    yield Case(f"{engine}, demo model, small JPEGs", job, bare, forget)


def drawing(folder: Path) -> Iterator[Case]:
    from dataflow_dagster_tests.engines.checkpoints.published_diffusion import flux
    from dataflow_dagster_tests.engines.requests import FLUX

    keys = {"max_sequence_length": 32, "num_inference_steps": 4}
    busy = {**keys, "model_path": flux(folder / "flux", "small"), "height": 256, "width": 256}
    demo = {**keys, "model_path": FLUX, "height": 64, "width": 64, "batch_size": 16}
    for told, count, config in (
        ("256x256", 8, {**busy, "batch_size": 4}),
        ("demo model, 64x64", 64, demo),
    ):
        job = make_job(folder / told, make_texts(count), "ImageGenerator", "FLUXGenerator", config)
        yield Case(f"diffusers, {told}", job, partial(beside, call_diffusers))


def asking(folder: Path, url: str) -> Iterator[Case]:
    for told, size, count in (("small JPEGs", SMALL, 128), ("2000x1500 JPEGs", LARGE, 64)):
        rows = make_pictures(folder / told, count, size)
        config = {"base_url": url, "max_num_seqs": 32}
        job = make_job(folder / f"api {told}", rows, "ImageCaptioner", "GPTCaptioner", config)
        yield Case(f"api, {told}", job, call_api)


@contextmanager
def server() -> Iterator[str]:
    command = [sys.executable, "-m", "dataflow_dagster_tests.benchmarks.bare.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


def tell(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # its result


def main() -> None:
    """Every engine named, or all of them; each in a process of its own."""
    wanted = sys.argv[1:] or ["vllm", "transformers", "diffusers", "api"]
    if len(wanted) > 1:
        for engine in wanted:
            subprocess.run([sys.executable, "-m", __spec__.name, engine], check=True)
        return
    with tempfile.TemporaryDirectory() as folder, server() as url:
        cases = {
            "vllm": lambda: captioning(Path(folder), "vllm"),
            "transformers": lambda: captioning(Path(folder), "transformers"),
            "diffusers": lambda: drawing(Path(folder)),
            "api": lambda: asking(Path(folder), url),
        }
        for case in cases[wanted[0]]():
            measure(case)


if __name__ == "__main__":
    main()
