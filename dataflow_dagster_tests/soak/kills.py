"""``python -m dataflow_dagster_tests.soak.kills [KILLS] [SEED]``: runs killed with signal 9.

50 times, at a random row or a random change of a file's name in any asset, or at a random moment;
half of the time the last line of a part is torn too. Half of the runs begin with nothing, half with
finished shards whose input was edited since. Then a run to the end: its files must be those of a
run that nobody killed, byte for byte, and at most what was in flight was computed again.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.rows import Row
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.steps.saving import SAVE_AHEAD
from dataflow_dagster_tests.steps import driving, probes
from dataflow_dagster_tests.steps.driving import step

KILLS = 50
ROWS = 40
TAKES_S = 0.003
MOST_AGAIN = SAVE_AHEAD + 4 * probes.WINDOW
"""Answers in flight when a run is killed: pictures being written, and some 10 ms of texts."""

FILES = 5

LOUD: dict[str, Any] = {"type": "Function", "name": f"{probes.__name__}:loud", "config": {}}

KINDS: dict[str, dict[str, Any]] = {
    "text": {"steps": [step("Dice")]},
    "image": {"steps": [step("Paint"), step("Look")]},
    "repeat_time": {"steps": [step("Dice", repeat_time=3), step("Paint", repeat_time=2)]},
    "parquet": {"steps": [step("Dice"), step("Paint")], "format": "parquet", "shards": 2},
    "shards": {"steps": [step("Dice"), step("Paint"), step("Upper")], "shards": 4},
    "clips": {"steps": [step("Dice"), step("Film")], "shards": 2},
    "function": {"steps": [step("Dice"), LOUD, step("Paint")], "shards": 2},
    "files": {"steps": [step("Dice"), step("Paint")], "meta_path": "in", "files_per_shard": 2},
}


_NOT_COMPARED = (".before", ".before.keys", ".sqlite", "-wal", "-shm")
"""Ends of names of what may hold more after a kill, or other pages."""


class Round(NamedTuple):
    """What one kind of pipeline went through; `edited`: over finished shards."""

    kind: str
    edited: bool
    kills: int
    again: int


def write_pipeline(folder: Path, kind: str) -> None:
    """Rows and ``probes.yaml`` in `folder`, all paths relative to it."""
    (folder / "in").mkdir(parents=True)
    write_rows(folder, [{"id": n, "text": f"t{n}"} for n in range(ROWS)])
    said: dict[str, Any] = {
        "name": "probes",
        "meta_path": "rows.jsonl",
        "base_folder": "base",
        "save_folder": "out",
        **KINDS[kind],
    }
    own = {"log": "log", "takes_s": TAKES_S}
    steps = [
        one if one is LOUD else {**one, "config": {**one["config"], **own}} for one in said["steps"]
    ]
    (folder / "probes.yaml").write_text(yaml.safe_dump({**said, "steps": steps}))


def write_rows(folder: Path, rows: list[Row]) -> None:
    """As one file, and as some."""
    driving.write_rows(folder / "rows.jsonl", rows)
    for part in range(FILES):
        driving.write_rows(folder / f"in/{part}.jsonl", rows[part::FILES])


def edit(folder: Path) -> None:
    """Rows are put before all others, one is changed and one removed, so that many move on."""
    new: list[Row] = [{"id": f"n{n}", "text": f"n{n}"} for n in range(3)]
    rows: list[Row] = [{"id": n, "text": f"t{n}" if n != 7 else "edited"} for n in range(ROWS)]
    write_rows(folder, new + rows[:20] + rows[21:])


def run(folder: Path, *dies: str) -> subprocess.Popen[bytes]:
    """The pipeline in a process of its own; `dies`: at the n-th call of what."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--victim", *dies]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": path})


def victim(dies: list[str]) -> None:
    """Run ``probes.yaml`` here, and be killed where that is said."""
    probes.register()
    if dies:
        owner: type[Any] = PartWriter if dies[0] == "append_line" else Path
        setattr(owner, dies[0], _deadly(getattr(owner, dies[0]), int(dies[1])))
    driving.run(load_pipeline(Path("probes.yaml")))


def _deadly(method: Callable[..., Any], at: int) -> Callable[..., Any]:
    left = [at]

    def call(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*given, **named)

    return call


def kill(folder: Path, chance: random.Random, seconds: float) -> bool:
    """One run, killed somewhere; whether it was before its end."""
    how = chance.choice(["append_line", "replace", "unlink", "time"])
    rows = sum(6 if "repeat_time" in one["config"] else 1 for one in _steps(folder)) + 2
    most = rows * ROWS if how == "append_line" else 40
    if how != "time":
        killed = run(folder, how, str(chance.randint(1, most))).wait() != 0
    else:
        process = run(folder)
        time.sleep(chance.uniform(0.3, seconds))
        process.kill()
        killed = process.wait() != 0
    if chance.random() < 0.5:
        _tear(folder, chance)
    return killed


def _steps(folder: Path) -> list[dict[str, Any]]:
    return yaml.safe_load((folder / "probes.yaml").read_text())["steps"]


def _tear(folder: Path, chance: random.Random) -> None:
    """Cut the last line of each part somewhere: what a machine that stops leaves."""
    for part in [*folder.rglob("*.part"), *folder.rglob("*.interrupted")]:
        content = part.read_bytes()
        last = content.rstrip(b"\n").rfind(b"\n") + 1
        if not part.parent.name.startswith("generated") and content:
            part.write_bytes(content[: chance.randint(last, len(content))])


def answers(folder: Path) -> int:
    """How many requests the engines answered in `folder` since it was made."""
    log = folder / "log"
    return log.read_text().count("ask ") if log.exists() else 0


def one_round(work: Path, kind: str, chance: random.Random, *, edited: bool = False) -> Round:
    """Kill one pipeline once or twice, let it end, and compare it with one nobody killed.

    Raises:
        RuntimeError: They differ, or more was computed again than was in flight.
    """
    whole, folder = _whole(work, kind, edited=edited), work / kind
    shutil.rmtree(folder, ignore_errors=True)
    _begin(work, kind, folder, edited=edited)
    seconds = float((whole / "seconds").read_text())
    kills = sum(kill(folder, chance, seconds) for _ in range(chance.choice([1, 1, 2])))
    if run(folder).wait():
        raise RuntimeError(f"{kind}: the run after {kills} kills failed")
    _compare(whole, folder, f"{kind}: after {kills} kills")
    again = answers(folder) - answers(whole)
    if again > MOST_AGAIN * kills:
        raise RuntimeError(f"{kind}: {again} answers computed again after {kills} kills")
    return Round(kind, edited, kills, again)


def _whole(work: Path, kind: str, *, edited: bool) -> Path:
    """A pipeline that nobody killed, made once."""
    whole = work / f"{kind}-{'edited' if edited else 'whole'}"
    if not whole.exists():
        _begin(work, kind, whole, edited=edited)
        began = time.monotonic()
        if run(whole).wait():
            raise RuntimeError(f"{kind}: the run nobody killed failed")
        (whole / "seconds").write_text(str(time.monotonic() - began))
    return whole


def _begin(work: Path, kind: str, folder: Path, *, edited: bool) -> None:
    if edited:
        shutil.copytree(_whole(work, kind, edited=False), folder)
        edit(folder)
    else:
        write_pipeline(folder, kind)


def _compare(whole: Path, folder: Path, when: str) -> None:
    for part in ("base", "out"):
        before, after = driving.files(whole / part), driving.files(folder / part)
        names = {name for name in {*before, *after} if not name.endswith(_NOT_COMPARED)}
        differ = sorted(name for name in names if before.get(name) != after.get(name))
        if differ:
            raise RuntimeError(f"{when} {part} differs: {differ}")


def rounds(work: Path, kills: int, seed: int) -> list[Round]:
    """So many kills, over all kinds in turn."""
    chance = random.Random(seed)
    done: list[Round] = []
    while sum(one.kills for one in done) < kills:
        turn, at = divmod(len(done), len(KINDS))
        edited = (turn + at) % 2 == 1
        done.append(one_round(work, list(KINDS)[at], chance, edited=edited))
    return done


def main() -> None:
    """Print the tally."""
    if sys.argv[1:2] == ["--victim"]:
        victim(sys.argv[2:])
        return
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        done = rounds(Path(folder), kills, seed)
    killed, again = Counter[str](), Counter[str]()
    for one in done:
        killed[one.kind] += one.kills
        again[one.kind] += one.again
    print(f"{'pipeline':<14}{'kills':>6}{'answers again':>15}")  # noqa: T201  # its result
    for kind in KINDS:
        print(f"{kind:<14}{killed[kind]:>6}{again[kind]:>15}")  # noqa: T201  # its result
    said = "all ended in the same files, byte for byte"
    print(f"{killed.total()} kills in {len(done)} runs: {said}")  # noqa: T201  # its result


if __name__ == "__main__":
    main()
