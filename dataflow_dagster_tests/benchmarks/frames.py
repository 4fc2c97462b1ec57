"""Frames of clips a second as a captioner reads them, beside bare PyAV; memory against length.

``python -m dataflow_dagster_tests.benchmarks.frames``: clips of 640 x 360, 25 frames a second.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av

from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster_tests.media.clips_made import repeat_video, write_video

SIZE = (640, 360)
CLIPS = 8
FRAMES = 250


def bare(path: Path) -> int:
    """All frames, as the shortest program would."""
    with av.open(str(path)) as container:
        return sum(len(frame.to_ndarray(format="rgb24")) > 0 for frame in container.decode(video=0))


def ours(path: Path) -> int:
    return len(read_frames(path, FrameChoice(FRAMES)).times)


def chosen(path: Path) -> int:
    return len(read_frames(path, FrameChoice(16, max_pixels=224 * 224)).times)


def rate(work: Callable[[Path], int], paths: list[Path], workers: int) -> float:
    """Frames a second."""
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        frames = sum(pool.map(work, paths))
    return frames / (time.perf_counter() - began)


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
    count = chosen(path)
    seconds = time.perf_counter() - began
    status = Path("/proc/self/status").read_text()  # getrusage counts the parent's memory too
    mib = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    sys.stdout.write(f"{count} frames, {seconds:.2f} s, peak {mib:.0f} MiB\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        short = write_video(Path(folder) / "short.mp4", FRAMES, size=SIZE)
        paths = [short] * CLIPS
        plain = rate(bare, paths, 1)
        lines = [f"bare PyAV, all frames, 1 thread: {plain:.0f} frames/s"]
        for workers in (1, 2):
            ratio = rate(ours, paths, workers) / plain
            lines.append(f"read_frames, all frames, {workers} at once: x{ratio:.2f}")
        began = time.perf_counter()
        rate(chosen, paths, 1)
        lines.append(f"read_frames, 16 of 250: {CLIPS / (time.perf_counter() - began):.1f} clips/s")
        for minutes in (1, 10, 180):
            long = repeat_video(short, Path(folder) / f"{minutes}.mp4", minutes * 6, 10)
            lines.append(f"{minutes} minutes: {peak(long)}")
            long.unlink()
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
