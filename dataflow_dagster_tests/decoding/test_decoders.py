import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from dataflow_dagster.decoding.decoders import DecoderError, Decoders, can_travel
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.processes import Children
from dataflow_dagster_tests.steps.sabotage import sabotage


def same(value: Any) -> Any:
    return value


def picture_of(size: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)


def array_of(side: int) -> dict[str, Any]:
    return {"frames": np.full((2, side, side, 3), side % 256, np.uint8), "side": side}


def refuse(value: str) -> None:
    raise RowError("unfit", f"{value} does not fit")


def stumble(value: str) -> None:
    raise ZeroDivisionError(value)


def lost() -> None:
    raise ImportError


class Unloadable:
    """Cannot be made in another process."""

    def __call__(self, value: str) -> str:
        return value

    def __reduce__(self) -> Any:
        return lost, ()


@pytest.fixture
def decoders(children: Children) -> Iterator[Callable[..., Decoders[Any, Any]]]:
    opened: list[Decoders[Any, Any]] = []

    def opener(function: Any, workers: int = 2, limit_s: float = 20) -> Decoders[Any, Any]:
        opened.append(Decoders(function, workers=workers, limit_s=limit_s))
        return opened[-1]

    yield opener
    for one in opened:
        one.close()
    assert children.running() == []


def results(decoders: Decoders[Any, Any], arguments: list[Any]) -> list[Any]:
    begun = [decoders.submit(argument, str(argument), same) for argument in arguments]
    return [future.result(30) for future in begun]


def kinds(given: list[Any]) -> list[str]:
    return [one.kind if isinstance(one, RowError) else "good" for one in given]


def test_pictures_of_all_sizes_come_back_as_they_were(decoders: Any) -> None:
    sizes = [(1, 1), (640, 480), (5000, 5000), (3, 2), (5000, 4000), (640, 480)]
    for size, got in zip(sizes, results(decoders(picture_of, workers=1), sizes), strict=True):
        assert (got.mode, got.size) == ("RGB", size)
        assert got.tobytes() == picture_of(size).tobytes()


def test_arrays_come_back_as_they_were_and_stay(decoders: Any) -> None:
    sides = [4, 300, 5, 1000, 7]
    got = results(decoders(array_of, workers=1), sides)
    for side, one in zip(sides, got, strict=True):
        np.testing.assert_array_equal(one["frames"], array_of(side)["frames"])
        one["frames"][0] = 9  # it is the receiver's own


@pytest.mark.parametrize("word", ["crash", "leave"])
def test_a_decoder_that_crashes_costs_one_row(decoders: Any, word: str) -> None:
    names = ["a", "b", word, "c", "d", word, "e"]
    got = results(decoders(sabotage), names)
    assert [one for one in got if isinstance(one, str)] == ["a", "b", "c", "d", "e"]
    assert kinds(got)[2] == kinds(got)[5] == "decoder_crashed"
    assert ("SIGSEGV" if word == "crash" else "exit code 3") in got[2].message


@pytest.mark.parametrize("word", ["hang", "deaf"])
def test_a_decoder_that_hangs_costs_one_row(decoders: Any, word: str) -> None:
    got = results(decoders(sabotage, limit_s=0.5), ["a", word, "b", "c", "d"])
    assert kinds(got) == ["good", "decoder_timeout", "good", "good", "good"]
    assert "0.5 s (media_timeout)" in got[1].message


def test_a_process_that_is_killed_once_costs_no_row(decoders: Any, tmp_path: Path) -> None:
    name = str(tmp_path / "once")
    assert results(decoders(sabotage), ["a", name, "b"]) == ["a", name, "b"]


def test_an_idle_process_that_dies_costs_no_row(decoders: Any, children: Children) -> None:
    pool = decoders(sabotage, workers=1)
    assert results(pool, ["a"]) == ["a"]
    (child,) = children.running()
    child.kill()
    assert results(pool, ["b"]) == ["b"]


def test_errors_of_rows_come_back_as_they_are(decoders: Any) -> None:
    (error,) = results(decoders(refuse), ["x"])
    assert (error.kind, error.message) == ("unfit", "x does not fit")
    (error,) = results(decoders(stumble), ["x"])
    assert (error.kind, error.message) == ("unreadable", "ZeroDivisionError: x")


def test_a_function_that_cannot_be_loaded_is_no_fault_of_the_row(decoders: Any) -> None:
    with pytest.raises(DecoderError, match="as it began"):
        results(decoders(Unloadable()), ["x"])


def test_busy_processes_end_when_they_are_closed(decoders: Any, children: Children) -> None:
    pool = decoders(sabotage)
    begun = [pool.submit("hang", "hang", same) for _ in range(5)]
    while len(children.running()) < 2:
        time.sleep(0.01)
    pool.close()
    assert all(future.done() for future in begun)


def test_what_a_script_or_a_function_defines_cannot_travel() -> None:
    class Local:
        pass

    assert can_travel(same)
    assert not can_travel(lambda: None)
    assert not can_travel(Local().__init__)


SCRIPT = """
import sys, time
from dataflow_dagster.decoding.decoders import Decoders
from dataflow_dagster_tests.steps.sabotage import sabotage

decoders = Decoders(sabotage, workers=2, limit_s=600)
print(decoders.submit("a", "a", str).result())
for word in ("deaf", "hang"):
    decoders.submit(word, word, str)
time.sleep(1)
print("ready", flush=True)
time.sleep(600)
"""


def test_no_process_is_left_when_the_step_is_killed_and_scripts_need_no_guard(
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")], stdout=subprocess.PIPE, text=True
    ) as step:
        assert step.stdout is not None
        assert [step.stdout.readline() for _ in range(2)] == ["a\n", "ready\n"]
        children = psutil.Process(step.pid).children()
        assert len(children) == 2
        os.kill(step.pid, signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=10)[1] == []
