"""Texts by OpenAI's chat completions: a system prompt, the user's text, perhaps a picture."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dataflow_dagster.engines.language import tidy
from dataflow_dagster.engines.openai.client import (
    CHAT_PATH,
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
from dataflow_dagster.rows import RowError

SEEDS: Final = 2**31
"""Row seeds are taken modulo this: some servers hold them in 32 bits with a sign."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What every request of a step shares.

    Attributes:
        sys_prompt: The system message; empty: none.
        options: Further keys of the request's body, such as ``temperature``.
    """

    sys_prompt: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


def open_chat(settings: ApiSettings, chat: ChatSettings) -> ApiSession:
    """Make ready to ask; see `open_session`."""

    def write(request: Request) -> Body:
        return {
            "messages": _messages(chat.sys_prompt, request),
            "seed": request.seed % SEEDS,
            **chat.options,
        }

    return open_session(settings, Call(CHAT_PATH, write, _read))


def _messages(sys_prompt: str, request: Request) -> list[Body]:
    content: str | list[Body] = request.prompt
    if request.data_url is not None:
        content = [
            {"type": "text", "text": request.prompt},
            {"type": "image_url", "image_url": {"url": request.data_url}},
        ]
    system = [{"role": "system", "content": sys_prompt}] if sys_prompt else []
    return [*system, {"role": "user", "content": content}]


async def _read(connection: Connection, reply: Any) -> Answer:
    del connection  # the reply holds all
    try:
        choice: Body = reply["choices"][0]
        message: Body = choice["message"]
        ended, text, refused = (
            choice.get("finish_reason"),
            message.get("content"),
            message.get("refusal"),
        )
        usage = reply.get("usage")
    except (AttributeError, IndexError, KeyError, TypeError) as odd:
        raise TransientError("bad_answer", "the reply is no chat completion") from odd
    if refused or ended == "content_filter":
        raise RowError("refused", f"the model refused: {refused or ended}")
    if not isinstance(text, str) or not tidy(text):
        raise RowError("empty_answer", f"the answer is empty; it ended by '{ended}'")
    tokens = token_counts(usage, "prompt_tokens", "completion_tokens")
    return Answer(text=tidy(text), details={**tokens, "finish_reason": ended})
