"""Decoding in processes: a decoder that crashes or hangs costs its row and nothing else."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from dataflow_dagster.decoding.parcels import Unpacker, open_memory
from dataflow_dagster.rows import RowError

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

_PROGRAM: Final = "dataflow_dagster.decoding.process"
_START_LIMIT_S: Final = 300
_LOOK_EVERY_S: Final = 1.0
"""A process is seen to have died so soon even where another one holds its end of the socket."""


_TRIES: Final = 2

CRASHED: Final = "decoder_crashed"
TIMEOUT: Final = "decoder_timeout"


class DecoderError(Exception):
    """No decoding process could be started: the installation's fault, not a row's."""


class Decoders(Generic[A, R]):
    """Calls a function in processes; as many as there are workers, begun when first needed.

    Args:
        function: Must be one that another process can import; see `can_travel`.
        workers: How many processes, each of which has one call at a time.
        limit_s: Seconds one call may take.
    """

    def __init__(self, function: Callable[[A], R], *, workers: int, limit_s: float) -> None:
        self._pickled = pickle.dumps(function)
        self._limit_s = limit_s
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._mine = threading.local()
        self._processes: set[_Process] = set()
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, argument: A, source: str, then: Callable[[R | RowError], T]) -> Future[T]:
        """Begin a call; the result is `then` of the function's, or of why there is none.

        A call in which the process dies is made once more, in a fresh one: a process may be
        killed for what is no fault of the row, as by the system when memory is short.

        Args:
            argument: Must be picklable.
            source: What is decoded, for messages.
            then: Called in a thread.
        """
        return self._threads.submit(lambda: then(self._call(argument, source)))

    def close(self) -> None:
        """End all processes, busy ones too; calls under way fail."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in list(self._processes):
            self._end(process)

    def _call(self, argument: A, source: str) -> R | RowError:
        for _ in range(_TRIES - 1):
            answer = self._try(argument, source)
            if not (isinstance(answer, RowError) and answer.kind == CRASHED) or self._closed:
                return answer
        return self._try(argument, source)

    def _try(self, argument: A, source: str) -> R | RowError:
        process = self._process()
        try:
            return process.ask(argument, self._limit_s)
        except TimeoutError:
            process.kill()
            self._end(process)
            said = f"{source}: not decoded within {self._limit_s:g} s (media_timeout)"
            return RowError(TIMEOUT, said)
        except (EOFError, OSError):
            return RowError(CRASHED, f"{source}: the decoder died {self._end(process)}")

    def _process(self) -> "_Process":
        """This thread's own.

        Raises:
            DecoderError: It could not be started.
        """
        process: _Process | None = getattr(self._mine, "process", None)
        if process is None:
            process = _Process()
            with self._lock:
                self._processes.add(process)
                if self._closed:
                    process.kill()
            try:
                process.begin(self._pickled)
            except (EOFError, OSError) as dead:
                process.kill()
                told = f"a decoding process ended as it began, {self._end(process)}"
                raise DecoderError(f"{told}; its output says why") from dead
            self._mine.process = process
        return process

    def _end(self, process: "_Process") -> str:
        with self._lock:
            self._processes.discard(process)
        self._mine.process = None
        return process.end()


class _Process:
    """One decoding process, and the memory that pictures come back in."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._memory = open_memory()
        command = [sys.executable, "-P", "-m", _PROGRAM]
        numbers = (theirs.fileno(), self._memory, os.getpid())
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with theirs:
            self._popen = subprocess.Popen(
                [*command, *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                pass_fds=numbers[:2],
                env={**os.environ, "PYTHONPATH": paths},
            )
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self._unpacker = Unpacker(self._memory)
        self._ending = threading.Lock()

    def begin(self, function: bytes) -> None:
        """Hand it what it is to call. Raises EOFError or OSError where it ends or hangs."""
        self._connection.send_bytes(function)
        self._wait(_START_LIMIT_S)
        self._connection.recv_bytes()

    def ask(self, argument: Any, limit_s: float) -> Any:
        """Raises TimeoutError; EOFError or OSError where the process dies."""
        self._connection.send_bytes(pickle.dumps(argument, protocol=5))
        self._wait(limit_s)
        return self._unpacker.unpack(self._connection.recv_bytes())

    def kill(self) -> None:
        """Whatever it does; who waits for it is told that it died."""
        self._popen.kill()

    def end(self) -> str:
        """Wait for its end, which has come or been asked for; how it ended."""
        try:
            code = self._popen.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:  # it only closed its end of the socket
            self._popen.kill()
            code = self._popen.wait()
        self._connection.close()
        self._unpacker.close()
        os.close(self._memory)
        return f"of {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

    def _wait(self, limit_s: float) -> None:
        until = time.monotonic() + limit_s
        while not self._connection.poll(min(_LOOK_EVERY_S, max(until - time.monotonic(), 0))):
            if self._popen.poll() is not None and not self._connection.poll(0):
                raise EOFError
            if time.monotonic() >= until:
                raise TimeoutError


def can_travel(function: object) -> bool:
    """Whether another process can have the function: it is importable there."""
    try:
        pickled = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return b"__main__" not in pickled
