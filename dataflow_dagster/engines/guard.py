"""A small process beside a step's, which ends all that the step leaves behind, however it ends.

Run as a program it knows nothing but this file: ``guard.py GROUP PARENT …``, with a socket as its
standard input. It waits until the group's first process or PARENT has died, perhaps by ``kill -9``,
kills what is left of the group, and goes. Files that were sent to it stay open until then, so that
a lease on a GPU lasts as long as the GPU is in use.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CLEAN_END = b"."
KEEP = b"k"

GIVE_UP_AFTER_S = 60.0
"""A process that a driver holds in the kernel can outlive its kill; GPUs let go within seconds."""

LOOK_AGAIN_S = 0.02


class Guard:
    """The guarded process's end of the socket.

    Args:
        parent: The process whose death ends this one too.
    """

    def __init__(self, parent: int) -> None:
        if os.getpgrp() != os.getpid():
            os.setpgid(0, 0)
        self._socket, theirs = socket.socketpair()
        before = _Remains(os.getpid(), set()).left()
        numbers = map(str, (os.getpid(), parent, *before))
        command = [sys.executable, "-I", "-S", __file__, *numbers]
        with theirs:
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)

    def keep(self, file: int) -> None:
        """Let the guard hold an open file too, until nothing of this process is left."""
        socket.send_fds(self._socket, [KEEP], [file])

    def close(self) -> None:
        """End what this process started since the guard came, and wait until it is gone."""
        with contextlib.suppress(OSError):  # the guard itself was killed
            self._socket.sendall(CLEAN_END)
        self._process.wait()
        self._socket.close()


@contextmanager
def guarded(parent: int | None) -> Generator[Guard | None]:
    """Guard a process that was started for a step, against its own end and its parent's.

    Args:
        parent: None where this is no process of a step's own but a person's shell or notebook.

    Yields:
        None where there is no parent, or where the system is not Linux.
    """
    if parent is None or sys.platform != "linux":
        yield None
        return
    guard = Guard(parent)
    try:
        yield guard
    finally:
        guard.close()


def end_group(group: int, spared: Iterable[int] = ()) -> None:
    """Kill a process group and all descendants of its members, and wait until they are gone.

    Args:
        group: Its id, which is that of its first process.
        spared: Processes that are left alone.
    """
    remains = _Remains(group, {os.getpid(), *spared})
    until = time.monotonic() + GIVE_UP_AFTER_S
    while (left := remains.left()) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(LOOK_AGAIN_S)


class _Process(NamedTuple):
    """A process that has not ended, or of which threads have not.

    Attributes:
        began: Clock ticks since the machine began; with the number it is one process only.
    """

    number: int
    began: int
    parent: int
    group: int


class _Remains:
    """What is left of a group and of its descendants, also of those in groups of their own.

    Who was found once is remembered: a process loses its parent, and so its place in the tree,
    while its own end takes time.
    """

    def __init__(self, group: int, spared: set[int]) -> None:
        self._spared = spared
        self._groups = {group}
        self._known: set[tuple[int, int]] = set()

    def left(self) -> list[int]:
        """Those that have not ended."""
        alive = [one for one in _processes() if one.number not in self._spared]
        found = {one for one in alive if self._is_ours(one)}
        numbers = {one.number for one in found}
        while more := {one for one in alive if one.parent in numbers} - found:
            found |= more
            numbers |= {one.number for one in more}
        self._known |= {(one.number, one.began) for one in found}
        # None joins a group that nobody is in any more; another may come to have its number.
        self._groups &= {one.group for one in found}
        self._groups |= {one.group for one in found if one.group == one.number}
        return [one.number for one in found]

    def _is_ours(self, one: _Process) -> bool:
        return one.group in self._groups or (one.number, one.began) in self._known


def _processes() -> Generator[_Process]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html from its third field on
        state, parent, group, *more = told.rpartition(")")[2].split()
        threads, began = int(more[14]), int(more[16])
        if state not in {"Z", "X"} or threads > 1:
            yield _Process(int(folder.name), began, int(parent), int(group))


def main(group: int, parent: int, *before: int) -> None:
    """Wait for the end of `group`'s first process, or of `parent`, and end the rest.

    Args:
        group: Its id.
        parent: Another process's id.
        before: Processes of the group that are older than the guard; a clean end spares them.
    """
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with socket.socket(fileno=0) as guarded_end:
        clean = _wait(guarded_end, group, parent)
    end_group(group, before if clean else ())


def _wait(guarded_end: socket.socket, *processes: int) -> bool:
    """True once the guarded process says that it is done, False once any of `processes` is dead.

    The socket alone would not tell of a death: processes that were forked hold it too.
    """
    waiting = select.poll()
    waiting.register(guarded_end, select.POLLIN)
    for process in processes:
        try:
            waiting.register(os.pidfd_open(process), select.POLLIN)
        except ProcessLookupError:
            return False
    while True:
        if any(file != guarded_end.fileno() for file, _ in waiting.poll()):
            return False
        said, _, _, _ = socket.recv_fds(guarded_end, 1, 1)  # files stay open in this process
        if said != KEEP:
            return said == CLEAN_END


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
