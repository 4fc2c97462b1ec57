"""A session with a process whose end takes time, for it has a gigabyte to give back."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.engines.session import Answer, Answered, Request, Session

LARGE = "large = b'x' * (1 << 30); print(flush=True); import time; time.sleep(1000)"


@dataclass(frozen=True, slots=True)
class Large:
    """A session with a large process, which answers nothing."""

    trace: str

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        command = [sys.executable, "-c", LARGE]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            with Path(self.trace).open("a") as file:
                file.write(f"{os.getpid()} {child.pid}\n")
            for request in requests:
                time.sleep(1000)
                yield request.number, Answer("")

    def close(self) -> None:
        pass


def opened(trace: str) -> Session:
    return Large(trace)
