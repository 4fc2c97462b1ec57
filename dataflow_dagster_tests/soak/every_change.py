"""``python -m dataflow_dagster_tests.soak.every_change``: killed before each change of its files.

Over shards that are finished, the input edited or the prompt changed, a run is killed before the
n-th time that it makes, renames, links or removes a file, for every n; the run after it must end
in the files of a run nobody killed, and ask for nothing that was answered before.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dataflow_dagster.rows import Row
from dataflow_dagster_tests.steps import driving, probes
from dataflow_dagster_tests.steps.driving import Ground, step

_CHANGES = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate"}
_KILLED = 9
_NOTED = ".keys", ".before", ".lock", ".npy", ".json"
"""Ends of names of files that need not be equal: they say where answers are, and what was read."""

_ROWS: list[Row] = [{"id": n, "text": f"t{n}"} for n in range(12)]
_EDITED: list[Row] = [
    *({"id": f"n{n}", "text": f"n{n}"} for n in range(3)),
    *({**row, "text": "edited"} if row["id"] == 5 else row for row in _ROWS),
]


class Case(NamedTuple):
    """What a run finds finished, and what it is asked for.

    Attributes:
        before: Prompt of the finished run.
        after: Prompt of the run that is killed.
        rows: Its input.
        new: What its engines may be asked for; each may be asked twice.
        keys: Of both pipelines.
    """

    before: str
    after: str
    rows: list[Row]
    new: set[str]
    keys: dict[str, Any]

    def run(self, ground: Ground, prompt: str) -> None:
        """One run to its end."""
        steps = step("Upper", prompt=prompt), step("Paint", input_key="text", asset="drawn")
        driving.run(ground.pipeline(*steps, **self.keys))


_NEW = {"n0", "n1", "n2", "edited"}
CASES = {
    "edited": Case("", "", _EDITED, _NEW, {"shards": 2}),
    "edited, parquet": Case("", "", _EDITED, _NEW, {"shards": 2, "format": "parquet"}),
    "prompt": Case("", "!", _ROWS, {row["text"] for row in _ROWS}, {"shards": 2}),
}


class Finished:
    """A finished run, to be gone on from many times; and where to.

    Raises:
        RuntimeError: A run after a kill ended in other files, or asked for what was answered.
    """

    def __init__(self, folder: Path, case: Case) -> None:
        self._case = case
        self._kept, self._ground = folder / "kept", Ground(folder / "work")
        self._ground.rows(*_ROWS)
        case.run(self._ground, case.before)
        shutil.copytree(self._ground.folder, self._kept)
        self._begin()
        self.changes = self._count()
        self._whole = self._files()

    def kill_at(self, change: int) -> None:
        """Kill one run there, run it again, and compare."""
        self._begin()
        if self._child(change) != _KILLED:
            raise RuntimeError(f"change {change}: the run ended before")
        self._case.run(self._ground, self._case.after)
        found = self._files()
        if found != self._whole:
            names = {name for name, _ in self._whole.items() ^ found.items()}
            raise RuntimeError(f"change {change}: other files: {sorted(names)}")
        again = set(self._ground.asked()) - self._case.new
        if self._case.before != self._case.after:
            self._ground.log.unlink()
            self._case.run(self._ground, self._case.before)
            again |= set(self._ground.asked())
        if again:
            raise RuntimeError(f"change {change}: {sorted(again)} computed again")

    def _begin(self) -> None:
        shutil.rmtree(self._ground.folder)
        shutil.copytree(self._kept, self._ground.folder, copy_function=shutil.copy2)
        self._ground.rows(*self._case.rows)
        self._ground.log.unlink(missing_ok=True)

    def _count(self) -> int:
        if self._child(sys.maxsize) != 0:
            raise RuntimeError("the run nobody killed failed")
        return int((self._ground.folder / "changes").read_text())

    def _files(self) -> dict[str, bytes]:
        found = driving.files(self._ground.folder)
        ours = (name for name in found if name.startswith(("base/", "out/")))
        return {name: found[name] for name in ours if not name.endswith(_NOTED)}

    def _child(self, change: int) -> int:
        """A run that ends before that change; its exit code."""
        pid = os.fork()
        if pid == 0:
            try:
                changes = _counting(self._ground.folder, change)
                self._case.run(self._ground, self._case.after)
                (self._ground.folder / "changes").write_text(str(changes()))
                os._exit(0)
            finally:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _counting(folder: Path, change: int) -> Callable[[], int]:
    """End this process before the `change`-th change of files below `folder`; gives how many."""
    ours, count = (f"{folder}/base", f"{folder}/out"), [0]

    def look(event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and "r" not in str(given[1] or "r")
        if (writes or event in _CHANGES) and str(given[0]).startswith(ours):
            count[0] += 1
            if count[0] == change:
                os._exit(_KILLED)

    sys.addaudithook(look)
    return lambda: count[0]


def killed(folder: Path, case: str, every: int = 1) -> Iterator[int]:
    """Kills one run for each so many changes; gives where."""
    finished = Finished(folder, CASES[case])
    for change in range(1, finished.changes + 1, every):
        finished.kill_at(change)
        yield change


def main() -> None:
    """Print the tally."""
    probes.register()
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            kills = sum(1 for _ in killed(Path(folder), case))
        print(f"{case:<16} killed at {kills} changes")  # noqa: T201  # its result


if __name__ == "__main__":
    main()
