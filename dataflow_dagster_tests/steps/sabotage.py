"""Decoders that crash, hang or eat memory where a file's name says so."""

import ctypes
import os
import time
from pathlib import Path
from typing import ClassVar

from dataflow_dagster.engines.session import Request
from dataflow_dagster.models.declaration import Given
from dataflow_dagster_tests.steps.probes import Look


def sabotage(name: str) -> str:
    """What a decoder does to its process; the name itself where that says nothing bad."""
    if "crash" in name:
        ctypes.string_at(0)
    if "hang" in name:
        time.sleep(1000)
    if "deaf" in name:  # a loop in C that holds the interpreter
        ctypes.PyDLL(None).sleep(1000)
    if "leave" in name:
        os._exit(3)
    if "once" in name and not Path(f"{name}.seen").exists():
        Path(f"{name}.seen").touch()
        os.abort()
    return name


class Sabotaged(Look):
    """Looks at pictures with such decoders."""

    asset: ClassVar[str] = "captions"

    def request(self, given: Given) -> Request:
        sabotage(Path(str(given.image)).name)
        return super().request(given)
