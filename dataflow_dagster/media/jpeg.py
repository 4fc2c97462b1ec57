"""Whether a JPEG is all there, told without decoding it."""

import re
from typing import Final

_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers that no length follows. https://www.w3.org/Graphics/JPEG/itu-t81.pdf (table B.1)"""
_SCAN: Final = 0xDA
_END: Final = 0xD9
_NEXT_MARKER: Final = re.compile(rb"\xff(?![\x00\xd0-\xd7\xff])")
"""In a scan 0xff stands for itself where 0 follows, and restart markers belong to it."""


def is_all_there(content: bytes) -> bool:
    """Whether segments follow upon each other up to the marker that ends the picture.

    One of them must be a scan. What is cut off, or overwritten beyond what any decoder can follow,
    is found; wrong pixels are not, nor does a decoder tell of those. A picture of 1 MB takes some
    0.5 ms, a twentieth of the time that decoding it at an eighth of its size takes.
    """
    at, scans = 2, 0
    while content[at : at + 1] == b"\xff":
        while content[at : at + 1] == b"\xff":  # any number of them may fill up
            at += 1
        marker = content[at] if at < len(content) else _END
        if marker == _END:
            return scans > 0 and at < len(content)
        at += 1
        if marker in _ALONE:
            continue
        at += max(int.from_bytes(content[at : at + 2]), 2)
        if marker == _SCAN:
            following = _NEXT_MARKER.search(content, at)
            scans, at = scans + 1, following.start() if following else len(content)
    return False
