"""Small real models whose sessions answer out of order, count their work and can misbehave."""

import os
import signal
import time
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from dataflow_dagster import registry
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request, Session
from dataflow_dagster.media.clips import Clip
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import Medium, RowError

WINDOW = 4
"""Requests a session holds; it answers the last of them first."""


class ProbeSession:
    def __init__(self, probe: "Probe") -> None:
        self._probe = probe

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        while window := list(islice(requests, WINDOW)):
            for request in reversed(window):
                yield from self._probe.misbehave(request)
            if self._probe.behaves == "stops":
                return

    def close(self) -> None:
        self._probe.note("close")


class Probe(Model):
    """What the probes have in common.

    Attributes:
        log: A file that gets a line for each opening and each request answered.
        refuses: Prompts the engine refuses.
        dies_at: The process is killed before it answers this prompt.
        takes_s: Seconds that each answer takes.
    """

    outside_key: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "behaves", "dies_at", "log", "refuses", "takes_s"}
    )

    log: str = ""
    prompt: str = ""
    batch_size: int = 1
    refuses: tuple[str, ...] = Field((), strict=False)
    dies_at: str | None = None
    takes_s: float = 0
    behaves: Literal["well", "twice", "never", "foreign", "wrong_medium", "raises", "stops"] = (
        "well"
    )

    def engine(self) -> Engine:
        return Engine("probe", "1.0", "float32", "cpu")

    def open(self, engine: Engine) -> Session:
        self.note("open")
        return ProbeSession(self)

    def misbehave(self, request: Request) -> Iterator[Answered]:
        if request.prompt == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.note(f"ask {request.prompt[:40]}")
        if self.takes_s:
            time.sleep(self.takes_s)
        answered = request.number, self.answer(request)
        match self.behaves:
            case "well" | "stops":
                yield answered
            case "twice":
                yield from (answered, answered)
            case "never":
                yield from [] if request.prompt == "b" else [answered]
            case "foreign":
                yield request.number + 1000, answered[1]
            case "wrong_medium":
                yield request.number, Answer()
            case "raises":
                raise ConnectionError("the engine is gone")

    def answer(self, request: Request) -> Answer | RowError:
        if request.prompt in self.refuses:
            return RowError("refused", f"no answer to {request.prompt}")
        return self.good_answer(request)

    def good_answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def note(self, line: str) -> None:
        if self.log:
            with Path(self.log).open("a", errors="backslashreplace") as file:
                file.write(line + "\n")


class Upper(Probe):
    """Says a text louder."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "texts"

    def request(self, given: Given) -> Request:
        if given.text is not None and given.text.startswith("unfit"):
            raise RowError("unfit", f"{given.text[:80]} does not fit")
        return Request(given.number, given.seed, str(given.text))

    def good_answer(self, request: Request) -> Answer:
        text = f"{self.prompt}{request.prompt.upper()}"
        return Answer(text=text, details={"prompt_tokens": 2, "completion_tokens": 3})


class Dice(Upper):
    """Says its seed."""

    def good_answer(self, request: Request) -> Answer:
        return Answer(text=f"{request.prompt} {request.seed}")


class Look(Probe):
    """Says a picture's size and first pixel."""

    reads: ClassVar[Medium] = "image"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "captions"

    def request(self, given: Given) -> Request:
        picture = read_picture(Path(str(given.image)))
        return Request(given.number, given.seed, Path(str(given.image)).name, picture)

    def good_answer(self, request: Request) -> Answer:
        assert request.picture is not None
        size = "x".join(map(str, request.picture.size))
        return Answer(text=f"{self.prompt}{size} {request.picture.getpixel((0, 0))}")


class Paint(Upper):
    """Paints a picture that hangs on the text, the seed and the prompt."""

    writes: ClassVar[Medium] = "image"
    asset: ClassVar[str] = "generated_images"

    def good_answer(self, request: Request) -> Answer:
        from PIL import Image

        given = f"{self.prompt} {request.prompt} {request.seed}".encode()
        return Answer(
            picture=Image.frombytes("RGB", (4, 4), blake2b(given, digest_size=48).digest())
        )


class Film(Upper):
    """Films noise that hangs on the text, the seed and the prompt."""

    writes: ClassVar[Medium] = "video"
    asset: ClassVar[str] = "generated_videos"

    def good_answer(self, request: Request) -> Answer:
        import numpy as np

        given = f"{self.prompt} {request.prompt} {request.seed}".encode()
        noise = np.random.default_rng(list(blake2b(given, digest_size=8).digest()))
        return Answer(clip=Clip(noise.integers(0, 255, (3, 32, 32, 3), np.uint8), 8))


def loud(text: str) -> str:
    """A step of its own: ``probes:loud``."""
    return text.upper()


def register() -> None:
    """Make the probes known under the step type ``Probe``."""
    for probe in (Upper, Dice, Look, Paint, Film):
        registry.register("Probe")(probe)
