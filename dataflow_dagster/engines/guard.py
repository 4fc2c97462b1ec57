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
        numbers = map(str, (os.getpid(), parent, *_tree_of(os.getpid())))
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
    kept = {os.getpid(), *spared}
    until = time.monotonic() + GIVE_UP_AFTER_S
    while (left := _tree_of(group) - kept) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(LOOK_AGAIN_S)


def _tree_of(group: int) -> set[int]:
    """Living processes of a group, and their descendants in other groups."""
    alive = dict(_processes())
    found = {process for process, (_, its_group) in alive.items() if its_group == group}
    while more := {p for p, (parent, _) in alive.items() if parent in found} - found:
        found |= more
    return found


def _processes() -> Generator[tuple[int, tuple[int, int]]]:
    """Of each living process its id, and the ids of its parent and its group."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        state, parent, group, *_ = told.rpartition(")")[2].split()
        if state not in {"Z", "X"}:
            yield int(folder.name), (int(parent), int(group))


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
