"""Addresses of files as a page beside them writes them."""

import os
import re
from pathlib import Path
from urllib.parse import quote

_WEB = re.compile(r"https?://[^\s\"'<>]+\Z", re.IGNORECASE)


def link(path: Path, folder: Path) -> str:
    """A file's address relative to a page in `folder`; whatever its name, it begins with a dot.

    A name such as ``javascript:x`` so stays a file's name.
    """
    relative = os.path.relpath(path, folder)
    address = quote(os.fsencode(relative))
    return address if address.startswith("../") else f"./{address}"


def is_web_address(value: object) -> bool:
    """Whether a row names its medium by ``http://`` or ``https://``."""
    return isinstance(value, str) and _WEB.match(value) is not None
