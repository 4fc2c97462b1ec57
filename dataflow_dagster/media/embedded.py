"""Media that stand in a row itself, as most datasets of the Hugging Face Hub hold them."""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, cast

_SIGNS: Final = (
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n", ".png"),
    (0, b"GIF8", ".gif"),
    (8, b"WEBP", ".webp"),
    (4, b"ftypavif", ".avif"),
    (4, b"ftyp", ".mp4"),
    (0, b"II*\0", ".tif"),
    (0, b"MM\0*", ".tif"),
)
"""Where in a file which bytes stand, and the ending that says so."""

_BASE64: Final = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "SUkqA", "TU0AK")
"""How pictures begin in base64: JPEG, PNG, GIF, WebP, TIFF."""
_LEAST_BASE64: Final = 64
_SUFFIX: Final = re.compile(r"\.[a-z0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Embedded:
    """One medium.

    Attributes:
        content: The bytes of its file; None: `name` is all there is.
        name: The path it had where the dataset was made.
    """

    content: bytes | None
    name: str | None

    @property
    def ending(self) -> str:
        """``.jpg``: told by the bytes, else by the name; may be empty."""
        content = self.content or b""
        told = (end for at, sign, end in _SIGNS if content[at : at + len(sign)] == sign)
        suffix = PurePosixPath(self.name or "").suffix.lower()
        return next(told, suffix if _SUFFIX.fullmatch(suffix) else "")


def embedded_in(value: object) -> Embedded | None:
    """The medium that a row's value holds; None: it holds none.

    Either ``{"bytes": base64, "path": ...}``, as parquet of ``datasets`` is read, or a picture in
    base64, as a binary column is.
    """
    if isinstance(value, dict):
        return _of_object(cast("Mapping[str, Any]", value))
    if not isinstance(value, str) or not value.startswith(_BASE64):
        return None
    content = _decoded(value) if len(value) >= _LEAST_BASE64 else None
    return None if content is None else Embedded(content, None)


def _of_object(value: Mapping[str, Any]) -> Embedded | None:
    if "bytes" not in value or not value.keys() <= {"bytes", "path"}:
        return None
    given, path = value["bytes"], value.get("path")
    name = path if isinstance(path, str) and path else None
    if given is None:
        return Embedded(None, name)
    content = _decoded(given) if isinstance(given, str) else None
    return None if content is None else Embedded(content, name)


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
