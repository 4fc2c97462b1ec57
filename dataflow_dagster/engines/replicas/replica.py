"""One replica: a process of its own that opens a session and answers what its step sends it.

The step sends an `Opening`, then requests; None ends a stream of them, so that what an engine
gathers into batches is worked off; `CLOSE` ends the replica. All messages are pickles.
"""

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

from dataflow_dagster.engines.guard import Guard
from dataflow_dagster.engines.session import Answered, Request, Session, notes_of

CLOSE: Final = "close"
_PR_SET_PDEATHSIG: Final = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


@dataclass(frozen=True, slots=True)
class Opening:
    """How a replica comes by its session."""

    open: Callable[[], Session]


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is open."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The engine has taken the next request in line; there is room for one more."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A stream has ended; what the session has to say of itself."""

    notes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failed:
    """The session could not be opened, or has failed as a whole; the replica ends."""

    error: Exception


Message = Opened | Taken | Noted | Failed | Answered


class Replica:
    """The replica's side of the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._inbox: SimpleQueue[Request | str | None] = SimpleQueue()

    def run(self) -> None:
        """Answer until the step closes the replica."""
        opening: Opening = pickle.loads(self._connection.recv_bytes())
        try:
            session = opening.open()
            self._send(Opened())
            Thread(target=self._receive, name="requests", daemon=True).start()
            self._answer_streams(session)
            session.close()
        except Exception as error:  # noqa: BLE001  # told to the step, which ends or tries again
            traceback.print_exc()
            self._send(Failed(_sendable(error)))

    def _answer_streams(self, session: Session) -> None:
        while (first := self._inbox.get()) != CLOSE:
            if not isinstance(first, Request):
                continue
            for answered in session.answers(self._stream(first)):
                self._send(answered)
            self._send(Noted(notes_of(session)))

    def _stream(self, first: Request) -> Iterator[Request]:
        for request in chain([first], iter(self._inbox.get, None)):
            self._send(Taken())
            if isinstance(request, Request):
                yield request

    def _receive(self) -> None:
        """Empty the connection at all times, so that the step's sending never blocks."""
        try:
            while True:
                self._inbox.put(pickle.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):  # the step has died; an engine may be deaf to anything gentler
            os._exit(1)

    def _send(self, message: Message) -> None:
        self._connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def _sendable(error: Exception) -> Exception:
    """The error itself, or its words where it does not survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # libraries' errors ask for arguments that pickle lacks
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(file: int, parent: int, *held: int) -> None:
    """Serve the step `parent` over the open socket `file`.

    Open files `held` stay so until nothing of this replica is left.
    """
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the step decides when a run is cancelled
    if sys.platform != "linux":
        Replica(Connection(file)).run()
        return
    guard = Guard(parent)
    for each in held:
        guard.keep(each)
        os.close(each)
    Replica(Connection(file)).run()
    guard.close()


def arguments_of(file: int, *held: int) -> list[str]:
    """The command line of a replica, which finds modules where this one does; see `main`."""
    begin = (
        f"import sys; sys.path[:] = {sys.path!r}; "
        f"from {__name__} import main; main(*{(file, os.getpid(), *held)})"
    )
    return [sys.executable, "-c", begin]


Encoded = bytes
"""A pickled message."""


def encoded(message: Any) -> Encoded:
    """What `Replica` reads."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
