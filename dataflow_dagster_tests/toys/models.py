"""Small real models, so that what surrounds a model is tested without a heavy engine."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr

from dataflow_dagster.engines.session import Answer, Answered, Engine, Request, Session
from dataflow_dagster.media.clips import Clip
from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import Medium, RowError

COLORS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255)}


class ToySession:
    """Answers one request after the other, as `toy` says."""

    def __init__(self, toy: "Toy") -> None:
        self._toy = toy

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        for request in requests:
            if request.prompt == self._toy.dies_at:
                os._exit(9)
            self._toy.hang()
            time.sleep(self._toy.pause_s)
            yield request.number, self._toy.answer(request)

    def close(self) -> None:
        self._toy.note("close")


class Toy(Model):
    """What the toys have in common.

    Attributes:
        trace: A file that gets a line ``open <CUDA_VISIBLE_DEVICES>`` for each opening.
        dies_at: The process dies at a row with this prompt.
        hangs_once: A file; a process that finds it absent makes it, and hangs.
        pause_s: Seconds a row takes.
    """

    outside_key: ClassVar[frozenset[str]] = frozenset(
        {"api_key", "batch_size", "dies_at", "hangs_once", "pause_s", "trace"}
    )

    api_key: SecretStr | None = None
    batch_size: int = 1
    dies_at: str | None = None
    hangs_once: str | None = None
    pause_s: float = 0.0
    trace: str | None = None

    def engine(self) -> Engine:
        return Engine("toy", "1.0", "float32", "cpu")

    def open(self, engine: Engine) -> Session:
        self.note(f"open {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        return ToySession(self)

    def answer(self, request: Request) -> Answer | RowError:
        raise NotImplementedError

    def hang(self) -> None:
        if self.hangs_once is not None and not Path(self.hangs_once).exists():
            Path(self.hangs_once).touch()
            time.sleep(1000)

    def note(self, line: str) -> None:
        if self.trace is not None:
            with Path(self.trace).open("a") as file:
                file.write(line + "\n")


class Namer(Toy):
    """Names the colour of a picture."""

    reads: ClassVar[Medium] = "image"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "captions"

    prompt: str = "a {color}"

    def request(self, given: Given) -> Request:
        picture = read_picture(Path(str(given.image)))
        return Request(given.number, given.seed, Path(str(given.image)).stem, picture)

    def answer(self, request: Request) -> Answer | RowError:
        assert request.picture is not None
        pixel = request.picture.getpixel((0, 0))
        named = [name for name, color in COLORS.items() if color == pixel]
        if not named:
            return RowError("unknown_color", f"{pixel} has no name")
        return Answer(text=self.prompt.replace("{color}", named[0]))


class Painter(Toy):
    """Paints the colour that a text names."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "image"
    asset: ClassVar[str] = "generated_images"

    side: int = 8

    def request(self, given: Given) -> Request:
        return Request(given.number, given.seed, str(given.text))

    def answer(self, request: Request) -> Answer | RowError:
        from PIL import Image  # as a model's heavy libraries: when it is used

        color = next((c for name, c in COLORS.items() if name in request.prompt), (0, 0, 0))
        return Answer(picture=Image.new("RGB", (self.side, self.side), color))


class Filmer(Toy):
    """Films the colour that a text names: from black to the colour."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "video"
    asset: ClassVar[str] = "generated_videos"

    def request(self, given: Given) -> Request:
        return Request(given.number, given.seed, str(given.text))

    def answer(self, request: Request) -> Answer | RowError:
        import numpy as np  # as a model's heavy libraries: when it is used

        color = next((c for name, c in COLORS.items() if name in request.prompt), (9, 9, 9))
        light = np.linspace(0, 1, 8)[:, None, None, None] * np.ones((8, 32, 48, 3))
        return Answer(clip=Clip((light * color).astype(np.uint8), 8))


class Watcher(Toy):
    """Counts a clip's frames."""

    reads: ClassVar[Medium] = "video"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "video_captions"

    def request(self, given: Given) -> Request:
        frames = read_frames(Path(str(given.video)), FrameChoice(100))
        return Request(given.number, given.seed, f"{len(frames.times)} frames")

    def answer(self, request: Request) -> Answer | RowError:
        return Answer(text=request.prompt)


class Shouter(Toy):
    """Says a text louder; refuses one that is ``bad``."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "texts"

    def request(self, given: Given) -> Request:
        if given.text is not None and given.text.startswith("bad"):
            raise RowError("bad_text", f"{given.text} is bad")
        return Request(given.number, given.seed, str(given.text))

    def answer(self, request: Request) -> Answer | RowError:
        return Answer(text=request.prompt.upper())


class Wanderer(Shouter):
    """A `Shouter` that tells where it is opened, and waits in the middle of its rows.

    Attributes:
        waits_for: A file; without it a row whose text ends with `waits_at` is not answered.
        waits_at: See there.
    """

    outside_key: ClassVar[frozenset[str]] = Shouter.outside_key | {"waits_for", "waits_at"}

    waits_for: str | None = None
    waits_at: str = "."

    def note(self, line: str) -> None:
        node = Path(os.environ.get("TMPDIR", "")).name
        super().note(f"{line} node {node} process {os.getpid()} at {time.time()}")

    def answer(self, request: Request) -> Answer | RowError:
        while self.waits_for is not None and request.prompt.endswith(self.waits_at):
            if Path(self.waits_for).exists():
                break
            time.sleep(0.05)
        return super().answer(request)
