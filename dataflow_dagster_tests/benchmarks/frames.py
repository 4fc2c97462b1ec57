"""Frames of clips a second as a captioner reads them, beside bare PyAV; memory against length.

``python -m dataflow_dagster_tests.benchmarks.frames``: clips of 640 x 360, 25 frames a second.
Both are taken in turns and timed by the processor's clock, so that a busy machine slows both;
medians. Bare PyAV keeps no frame, ours keeps all. Aim: 0.8 of bare PyAV.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import av

from dataflow_dagster.decoding.decoders import Decoders
from dataflow_dagster.media.frames import FrameChoice, Frames, read_frames
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.clips_made import repeat_video, write_video

SIZE = (640, 360)
SMALL = (298, 168)
FRAMES = 250
RUNS = 9
AIM = 0.8


def bare(path: Path) -> None:
    """All frames, as the shortest program would."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def bare_small(path: Path) -> None:
    """The same, scaled down as a captioner's are."""
    width, height = SMALL
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            frame.to_ndarray(width=width, height=height, format="rgb24", interpolation="BICUBIC")


def ours(path: Path) -> None:
    read_frames(path, FrameChoice(FRAMES))


def ours_small(path: Path) -> None:
    read_frames(path, FrameChoice(FRAMES, max_pixels=SMALL[0] * SMALL[1]))


def chosen(path: Path) -> Frames:
    return read_frames(path, FrameChoice(16, max_pixels=224 * 224))


def seconds(work: Callable[[Path], object], path: Path) -> float:
    """Of this process's processor time."""
    began = time.process_time()
    work(path)
    return time.process_time() - began


def ratio(plain: Callable[[Path], object], other: Callable[[Path], object], path: Path) -> float:
    """How many times as fast the other is."""
    turns = [(seconds(plain, path), seconds(other, path)) for _ in range(RUNS)]
    return statistics.median(one / two for one, two in turns)


def beside(path: Path) -> float:
    """Seconds of a clip's 16 frames in a decoding process over those in this one."""
    # As another process finds it: here this file is __main__.
    known: Any = import_module("dataflow_dagster_tests.benchmarks.frames")
    decoders: Decoders[Path, Frames] = Decoders(known.chosen, workers=1, limit_s=60)

    def ask() -> Frames | RowError:
        return decoders.submit(path, str(path), lambda answer: answer).result()

    ask()  # its start is not counted
    turns: list[float] = []
    for _ in range(RUNS):
        times = [time.perf_counter()]
        for work in (lambda: chosen(path), ask):
            work()
            times.append(time.perf_counter())
        turns.append((times[2] - times[1]) / (times[1] - times[0]))
    decoders.close()
    return statistics.median(turns)


def peak(path: Path) -> str:
    """MiB of a fresh process that reads 16 frames, and its seconds."""
    code = (
        "import sys; from pathlib import Path\n"
        "from dataflow_dagster_tests.benchmarks.frames import told\n"
        "told(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def told(path: Path) -> None:
    began = time.perf_counter()
    count = len(chosen(path).times)
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text()  # getrusage counts the parent's memory too
    mib = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    sys.stdout.write(f"{count} frames, {seconds:.2f} s, peak {mib:.0f} MiB\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        short = write_video(Path(folder) / "short.mp4", FRAMES, size=SIZE)
        plain = statistics.median(seconds(bare, short) for _ in range(RUNS))
        whole, small = ratio(bare, ours, short), ratio(bare_small, ours_small, short)
        lines = [
            f"bare PyAV, all frames: {FRAMES / plain:.0f} frames a second of processor time",
            f"read_frames, all frames: x{whole:.2f} (aim {AIM})",
            f"the same, scaled to {SMALL[0]} x {SMALL[1]}: x{small:.2f}",
            f"16 of {FRAMES}: {1 / seconds(chosen, short):.1f} clips a second",
            f"16 of {FRAMES}, by a decoding process: x{beside(short):.2f} of the time in this one",
        ]
        for minutes in (1, 10, 180):
            long = repeat_video(short, Path(folder) / f"{minutes}.mp4", minutes * 6, 10)
            lines.append(f"{minutes} minutes: {peak(long)}")
            long.unlink()
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
