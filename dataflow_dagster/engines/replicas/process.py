"""A replica as its step sees it: what it was sent, what it took, and how it ended."""

import os
import pickle
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Final

from dataflow_dagster.engines.guard import end_group
from dataflow_dagster.engines.replicas.replica import (
    CLOSE,
    Encoded,
    Message,
    Opened,
    Opening,
    Taken,
    arguments_of,
    encoded,
)
from dataflow_dagster.engines.session import Request

AHEAD: Final = 4
"""Requests that lie ready at a replica beyond those its engine has taken."""

CLOSE_WITHIN_S: Final = 60.0


class ReplicaProcess:
    """Starts one replica; requests are sent by a thread, so that the step never waits for it.

    Args:
        number: From 0.
        opening: Sent to it first.
        variables: Environment variables of its own, such as its devices.
        held: Open files that stay so until nothing of it is left.
        deaths: How many replicas in its place died in succession, none having answered.

    Attributes:
        connection: Ready to be read when it has said something, or has died.
        is_open: Its session is open.
        quiet_since: When it last said or took something, was begun, or came to have all it needs.
        waiting: Requests that were sent and are not answered, by number.
        alone: It works on one request that is suspected of killing replicas.
    """

    def __init__(
        self,
        number: int,
        opening: Opening,
        variables: Mapping[str, str],
        held: Sequence[int] = (),
        deaths: int = 0,
    ) -> None:
        self.number = number
        self.deaths = deaths
        self.waiting: dict[int, Request] = {}
        self.alone = False
        self.is_open = False
        self._in_stream = False
        self._untaken: deque[int] = deque()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                arguments_of(theirs.fileno(), *held),
                env={**os.environ, **variables},
                pass_fds=[theirs.fileno(), *held],
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())
        self._outbox: SimpleQueue[Encoded | Request | None] = SimpleQueue()
        self._sender = Thread(target=self._send_all, name=f"replica {number}", daemon=True)
        self._sender.start()
        self._outbox.put(encoded(opening))
        self.quiet_since = time.monotonic()

    @property
    def has_room(self) -> bool:
        """It may be sent one more request."""
        return not self.alone and len(self._untaken) < AHEAD

    @property
    def lacks_nothing(self) -> bool:
        """It has rows to answer, and does not wait for more: now its silence counts."""
        return bool(self.waiting) and (bool(self._untaken) or not self._in_stream)

    def send(self, request: Request) -> None:
        """Hand over a request; the engine takes it when it wants it."""
        if not self._untaken:
            self.quiet_since = time.monotonic()
        self.waiting[request.number] = request
        self._untaken.append(request.number)
        self._outbox.put(request)
        self._in_stream = True

    def end_stream(self) -> None:
        """Let the engine work off what it has, though it could take more at once."""
        if self._in_stream:
            self._outbox.put(encoded(None))
            self._in_stream = False
            if not self._untaken:
                self.quiet_since = time.monotonic()

    def heard(self) -> tuple[list[Message], bool]:
        """All that it has said by now, and whether it is dead."""
        messages: list[Message] = []
        try:
            while self.connection.poll():
                self._hear(pickle.loads(self.connection.recv_bytes()), messages)
        except (EOFError, OSError):
            return messages, True
        return messages, False

    def _hear(self, message: Message, messages: list[Message]) -> None:
        self.quiet_since = time.monotonic()
        if isinstance(message, Taken):
            self._untaken.popleft()
            return
        self.is_open = self.is_open or isinstance(message, Opened)
        messages.append(message)

    def took(self, number: int) -> bool:
        """Whether its engine had that request."""
        return self.is_open and number not in self._untaken

    def kill(self) -> str:
        """End it with all that its engine started, and wait until the devices are free.

        Returns:
            How it had ended.
        """
        try:
            code = self._process.wait(timeout=1)  # it may be ending: its own words come first
        except subprocess.TimeoutExpired:
            code = None
        end_group(self._process.pid)
        self._process.wait()
        self._let_go()
        return _said(code)

    def ask_to_close(self) -> None:
        """Have it close its session and end; `close` waits for that."""
        self._outbox.put(encoded(CLOSE))

    def close(self, until: float) -> None:
        """Wait for its end, up to a time of the monotonic clock, and kill what is left."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=max(0.0, until - time.monotonic()))
        end_group(self._process.pid)
        self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        self._outbox.put(None)
        self._sender.join()
        self.connection.close()

    def _send_all(self) -> None:
        while (what := self._outbox.get()) is not None:
            try:
                self.connection.send_bytes(encoded(what) if isinstance(what, Request) else what)
            except OSError:  # it is dead, which `messages` tells
                return


def _said(code: int | None) -> str:
    if code is None:
        return "was killed"
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name
    hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
