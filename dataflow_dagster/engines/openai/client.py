"""Any server that speaks OpenAI's API, by OpenAI's own client; retries are ours."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from dataflow_dagster.engines.errors import EngineMissingError, EngineRefusedError, installing
from dataflow_dagster.engines.openai.dialect import Dialect
from dataflow_dagster.engines.openai.faults import read_fault
from dataflow_dagster.engines.openai.providers import NO_KEY, Endpoint, find_key
from dataflow_dagster.engines.openai.refusals import presentable, read_refusal
from dataflow_dagster.engines.openai.retries import Patience, Retrier, TransientError
from dataflow_dagster.engines.openai.session import ApiSession
from dataflow_dagster.engines.session import Answer, Engine, Request
from dataflow_dagster.rows import RowError, decode

if TYPE_CHECKING:
    from openai import AsyncOpenAI

Body = dict[str, Any]
Write = Callable[[Request], Body]
"""What is sent for a request, but for the model's name."""

IMAGE_PATH: Final = "/images/generations"
CHAT_PATH: Final = "/chat/completions"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How a server is reached and how hard it is pressed."""

    endpoint: Endpoint
    patience: Patience
    max_num_seqs: int
    api_key: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One sort of request to a server.

    Attributes:
        path: Below the server's address.
        write: Makes the body of a request.
        read: Makes the answer of a reply, which is any JSON value; may raise what an attempt may.
    """

    path: str
    write: Write
    read: Callable[["Connection", Any], Awaitable[Answer]]


def find_engine() -> Engine:
    """The client's version; who answers, and at which precision, the server alone knows.

    Raises:
        EngineMissingError: The client is not installed.
    """
    if find_spec("openai") is None:
        raise EngineMissingError(f"openai is not installed: {installing('api')}")
    return Engine("openai", version("openai"), "as served", "remote")


def open_session(settings: ApiSettings, call: Call) -> ApiSession:
    """Make ready to ask; nothing is sent yet.

    Raises:
        EngineRefusedError: There is no key for a server that wants one.
    """
    return ApiSession(OpenaiService(settings, call), settings.max_num_seqs)


class Connection:
    """Sends bodies and gives back JSON; what goes wrong comes out in our own errors."""

    def __init__(self, settings: ApiSettings) -> None:
        key = find_key(settings.endpoint, settings.api_key)
        self._key = "" if key == NO_KEY else key
        self._endpoint = settings.endpoint
        self._dialect = Dialect()
        self._client = _client(settings, key)

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._endpoint.base_url

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`: what the server would not take."""
        return self._dialect.notes

    async def post(self, path: str, body: Body) -> Any:
        """The reply to `body`, decoded.

        Raises:
            TransientError: Worth another try.
            RowError: It costs this row.
            EngineRefusedError: No row will be answered.
        """
        from openai import APIError, APIStatusError

        while True:
            sent = self._dialect.spoken({"model": self._endpoint.model, **body})
            reply = await _sent(self._client.post(path, body=sent, cast_to=_raw()))
            if isinstance(reply, APIStatusError):
                refusal = read_refusal(reply, self._key)
                if self._dialect.learns(refusal, sent):
                    continue
            if isinstance(reply, APIError):
                raise read_fault(reply, self._key)
            return self._decoded(reply.content)

    async def get(self, url: str) -> bytes:
        """The file at `url`, no redirect followed.

        Raises:
            TransientError: Worth another try.
            RowError: ``unreadable_file``: it is not there.
        """
        from openai import APIError

        options: Any = {"follow_redirects": False}
        reply = await _sent(self._client.get(url, cast_to=_raw(), options=options))
        if isinstance(reply, APIError):
            fault = read_fault(reply, self._key)
            if isinstance(fault, EngineRefusedError):  # of one file, not of all rows
                fault = RowError("unreadable_file", f"the picture's address: {fault}")
            raise fault
        return reply.content

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    def _decoded(self, content: bytes) -> Any:
        try:
            return decode(content)
        except ValueError:
            shown = presentable(content[:200].decode("utf-8", "replace"), self._key)
            raise TransientError("bad_answer", f"the reply is not JSON: {shown}") from None


class OpenaiService:
    """See `Service`: each request written, sent, tried again if need be, and read."""

    def __init__(self, settings: ApiSettings, call: Call) -> None:
        self._call = call
        self._connection = Connection(settings)
        self._retrier = Retrier(self._attempt, settings.patience, settings.max_num_seqs)

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Service.notes`."""
        return self._connection.notes

    async def ask(self, request: Request) -> Answer:
        """See `Service.ask`."""
        return await self._retrier.ask(request)

    async def close(self) -> None:
        """See `Service.close`."""
        await self._connection.close()

    async def _attempt(self, request: Request) -> Answer:
        reply = await self._connection.post(self._call.path, self._call.write(request))
        return await self._call.read(self._connection, reply)


def token_counts(usage: object, prompt: str, answer: str) -> Mapping[str, int]:
    """``prompt_tokens`` and ``completion_tokens`` out of a reply's usage, where it tells them."""
    if not isinstance(usage, dict):
        return {}
    pairs = (("prompt_tokens", usage.get(prompt)), ("completion_tokens", usage.get(answer)))
    return {name: count for name, count in pairs if isinstance(count, int)}


async def _sent(work: Awaitable[Any]) -> Any:
    """The reply, or the client's error: raised further out, it drags no request along."""
    from openai import APIError

    try:
        return await work
    except APIError as fault:
        return fault
    except UnicodeEncodeError as odd:
        raise RowError("bad_text", f"the text is not Unicode that can be sent: {odd}") from None


def _client(settings: ApiSettings, key: str) -> "AsyncOpenAI":
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    return AsyncOpenAI(
        api_key=key,
        base_url=settings.endpoint.base_url,
        max_retries=0,
        timeout=settings.patience.timeout_s,
        http_client=DefaultAsyncHttpxClient(limits=_limits(settings.max_num_seqs)),
    )


def _limits(connections: int) -> Any:
    import openai

    # The client's own httpx, whichever generation: the class of its default limits.
    limits = openai.DEFAULT_CONNECTION_LIMITS
    return type(limits)(max_connections=connections, max_keepalive_connections=connections)


def _raw() -> Any:
    from openai import HttpxBinaryResponseContent

    return HttpxBinaryResponseContent
