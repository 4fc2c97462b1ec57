"""A server that speaks just enough of OpenAI's API, and takes as long as a good model does.

``python -m dataflow_dagster_tests.benchmarks.bare.server`` prints its port.
"""

import asyncio
import json

ANSWER_S = 0.5
"""Seconds to an answer: a caption of some 40 tokens from a fast hosted model."""

_REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "bare",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "a cat asleep on a chair"},
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13},
    }
).encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            length = next(line for line in lines if line.lower().startswith("content-length:"))
            await reader.readexactly(int(length.partition(":")[2]))
            await asyncio.sleep(ANSWER_S)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(_REPLY) + _REPLY
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has gone
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=2**24)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # read by the benchmark
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
