"""Pictures by OpenAI's images API."""

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dataflow_dagster.engines.openai.client import (
    IMAGE_PATH,
    ApiSettings,
    Body,
    Call,
    Connection,
    open_session,
    token_counts,
)
from dataflow_dagster.engines.openai.retries import TransientError
from dataflow_dagster.engines.openai.session import ApiSession
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.media.pictures import decode_picture
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from PIL.Image import Image


def open_images(settings: ApiSettings, options: Mapping[str, Any]) -> ApiSession:
    """Make ready to ask; see `open_session`.

    Args:
        settings: The server.
        options: Further keys of every request's body, such as ``size`` and ``quality``.
    """

    def write(request: Request) -> Body:
        return {"prompt": request.prompt, "n": 1, "response_format": "b64_json", **options}

    return open_session(settings, Call(IMAGE_PATH, write, _read))


async def _read(connection: Connection, reply: Any) -> Answer:
    try:
        drawn: Body = reply["data"][0]
        encoded, url, revised = (drawn.get(key) for key in ("b64_json", "url", "revised_prompt"))
        usage = reply.get("usage")
    except (AttributeError, IndexError, KeyError, TypeError) as odd:
        raise TransientError("bad_answer", "the reply holds no picture") from odd
    if not encoded and not url:
        raise RowError("empty_answer", "the reply holds neither b64_json nor url")
    picture = await _picture(connection, encoded, url)
    tokens = token_counts(usage, "input_tokens", "output_tokens")
    details = {"revised_prompt": revised} if isinstance(revised, str) and revised else {}
    return Answer(picture=picture, details={**tokens, **details})


async def _picture(connection: Connection, encoded: object, url: object) -> "Image":
    if isinstance(encoded, str):
        content = _bytes(encoded)
    else:
        content = await connection.get(_own_address(str(url), connection.base_url))
    return await asyncio.to_thread(decode_picture, content, "the server's picture")


def _bytes(encoded: str) -> bytes:
    try:
        return b64decode(encoded, validate=True)
    except binascii.Error as broken:
        raise RowError("corrupt_picture", "the server's picture is not base64") from broken


def _own_address(url: str, base_url: str) -> str:
    """`url`, where the server itself serves it: an answer sends us to no other machine."""
    if _origin(url) != _origin(base_url):
        raise RowError(
            "foreign_url",
            "the picture lies on another server, which is not asked; allowed: b64_json, or an "
            f"address at {base_url}",
        )
    return url


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return parts.scheme, parts.hostname, parts.port or default
    except ValueError:
        return "", None, None
