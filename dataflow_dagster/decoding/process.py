"""``python -m dataflow_dagster.decoding.process``: what runs in one process of `Decoders`.

It is begun by its path in a fresh interpreter, never forked: the step's process may hold torch and
a GPU by then, and its ``__main__`` may be a user's script without a guard.
"""

import os
import pickle
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from dataflow_dagster.decoding.parcels import Packer
from dataflow_dagster.rows import RowError

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Take the function, then an argument at a time, until the step's process closes its end."""
    socket, memory, parent = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the step's process ends us
    _die_with(parent)
    with Connection(socket) as step:
        try:
            function = pickle.loads(step.recv_bytes())
            step.send_bytes(b"")
            _serve(step, function, Packer(memory))
        except (EOFError, ConnectionError):
            return  # the step is done, or gone


def _serve(step: "Connection[Any, Any]", function: Callable[[Any], Any], packer: Packer) -> None:
    while True:
        argument = pickle.loads(step.recv_bytes())
        try:
            result = function(argument)
        except RowError as error:
            result = error
        except Exception as error:  # noqa: BLE001  # the edge where a row's failure is recorded
            result = RowError("unreadable", f"{type(error).__name__}: {error}")
        step.send_bytes(packer.pack(result))


def _die_with(parent: int) -> None:
    """End when the step's process is killed, also from within a decoder that never returns.

    Elsewhere than on Linux a process that waits for work ends then, one that hangs does not.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        sys.exit()


if __name__ == "__main__":
    main()
