"""Pictures and videos as the bytes of their files."""

from dataclasses import dataclass
from typing import Final

from dataflow_dagster.export.request import ExportError, Which
from dataflow_dagster.export.shards import MEDIA, FinishedResults, ResultRow
from dataflow_dagster.formats.format import AnyPath
from dataflow_dagster.rows import SOURCE_PREFIX, Medium
from dataflow_dagster.schema.pipeline import PipelineSpec

_SIGNS: Final = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
)
"""How files of pictures begin, whatever their names say."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one medium of each row goes.

    Attributes:
        medium: A picture or a video.
        column: The column that holds it.
        source: It is what the user gave, though a step drew another since.
    """

    medium: Medium
    column: str
    source: bool

    @property
    def beside(self) -> bool:
        """Whether it stands beside another medium of the same kind."""
        return self.column.startswith(SOURCE_PREFIX)


@dataclass(frozen=True, slots=True)
class MediumFile:
    """One file: where it is, and its bytes."""

    slot: Slot
    path: AnyPath
    content: bytes

    @property
    def extension(self) -> str:
        """``jpg``: told by the first bytes of a picture, else by the name."""
        return extension_of(self.content, self.path.suffix)


def slots(pipeline: PipelineSpec, which: Which) -> list[Slot]:
    """The media that go along with each row, the row's own column first."""
    keys = {"image": pipeline.image_key, "video": pipeline.video_key}
    found: list[Slot] = []
    for medium in MEDIA:
        if which != "none":
            found.append(Slot(medium, keys[medium], source=which == "source"))
        if which == "both" and any(step.config.writes == medium for step in pipeline.steps):
            found.append(Slot(medium, SOURCE_PREFIX + keys[medium], source=True))
    return found


def path_in(results: FinishedResults, result: ResultRow, slot: Slot) -> AnyPath | None:
    """The file that belongs in the slot; None: the row has no such medium.

    The slot beside the row's own column is empty where no step drew anything: they are one file.

    Raises:
        ExportError: The row's value is no medium.
    """
    if not slot.source:
        return results.shown(result, slot.medium)
    if slot.beside and not results.is_drawn(result, slot.medium):
        return None
    return results.source(result, slot.medium)


def read_file(result: ResultRow, slot: Slot, path: AnyPath) -> MediumFile:
    """The whole file.

    Raises:
        ExportError: It is missing or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as missing:
        message = f"row '{result.id}' of {result.shard}: its {slot.medium} {path} is missing"
        hint = "put it back" if slot.source else "put it back, or run the pipeline again"
        raise ExportError(f"{message}: {hint}") from missing
    except (OSError, ValueError) as refused:
        message = f"row '{result.id}' of {result.shard}: its {slot.medium} {path}"
        raise ExportError(f"{message} cannot be read: {refused}") from refused
    return MediumFile(slot, path, content)


def extension_of(content: bytes, suffix: str) -> str:
    """Without a dot, in small letters; ``bin`` where neither bytes nor name tell one."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    known = next((known for sign, known in _SIGNS if content.startswith(sign)), None)
    named = "".join(char for char in suffix.lower() if char.isascii() and char.isalnum())
    return known or named or "bin"
