"""Each engine's best calling pattern, by itself: requests in memory in, answers in memory out."""

# ruff: noqa: SLF001  # the very engine that our session holds is called past the session

import asyncio
from collections.abc import Sequence
from typing import Any

from dataflow_dagster.engines.diffusers.pictures import DiffusersSession
from dataflow_dagster.engines.openai.session import ApiSession
from dataflow_dagster.engines.session import Request
from dataflow_dagster.engines.transformers.session import TransformersSession
from dataflow_dagster.engines.vllm.session import VllmSession
from dataflow_dagster.engines.vllm.terms import prompt_of


def call_vllm(session: VllmSession, requests: Sequence[Request]) -> int:
    """All requests at once, as ``LLM.generate`` does it; no seeds."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    core: Any = session._core
    law = core._settings.sampling
    parameters = SamplingParams(
        temperature=law.temperature,
        top_p=law.top_p,
        top_k=law.top_k,
        repetition_penalty=law.repetition_penalty,
        max_tokens=law.max_tokens,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
    if not hasattr(core, "_loop"):
        return _step_through(core._engine, requests, parameters)

    async def one(request: Request) -> int:
        outputs = core._engine.generate(prompt_of(request), parameters, f"bare {request.number}")
        return len([output async for output in outputs])

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*map(one, requests)))

    return core._run(all_of_them())


def forget_pictures(session: VllmSession) -> None:
    """Empties vLLM's caches: a picture met before would be answered in half the time."""
    core: Any = session._core
    engine = core._engine
    if hasattr(core, "_loop"):
        core._run(engine.reset_mm_cache())
        core._run(engine.reset_prefix_cache())
    else:
        engine.reset_mm_cache()
        engine.reset_prefix_cache()


def _step_through(engine: Any, requests: Sequence[Request], parameters: Any) -> int:
    for request in requests:
        engine.add_request(f"bare {request.number}", prompt_of(request), parameters)
    answered = 0
    while engine.has_unfinished_requests():
        answered += len(engine.step())
    return answered


def call_transformers(session: TransformersSession, requests: Sequence[Request]) -> int:
    """Batch after batch by ``generate``; no seeds."""
    import torch

    loaded = session._opened()
    law, size, answered = session._sampling, session._size, 0
    sampled = {"do_sample": True, "top_p": law.top_p, "temperature": law.temperature}
    how = {**sampled, "top_k": law.top_k} if law.temperature else {"do_sample": False}
    for start in range(0, len(requests), size):
        batch = requests[start : start + size]
        inputs = loaded.processor(
            text=[request.prompt for request in batch],
            images=[[request.picture] for request in batch],
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            tokens = loaded.model.generate(
                **inputs.to(loaded.model.device, loaded.model.dtype),
                max_new_tokens=law.max_tokens,
                repetition_penalty=law.repetition_penalty,
                **how,
            )
        new = tokens[:, inputs["input_ids"].shape[1] :]
        answered += len(loaded.processor.tokenizer.batch_decode(new, skip_special_tokens=True))
    return answered


def call_diffusers(session: DiffusersSession, requests: Sequence[Request]) -> int:
    """Batch after batch, one generator for all; PIL pictures."""
    import torch

    call, size, answered = session._call, session._batch_size, 0
    for start in range(0, len(requests), size):
        batch = requests[start : start + size]
        made = session._pipeline(
            prompt=[request.prompt for request in batch],
            generator=torch.Generator("cpu").manual_seed(start),
            **call,
        )
        answered += len(made.images)
    return answered


def call_api(session: ApiSession, requests: Sequence[Request]) -> int:
    """OpenAI's asynchronous client, as many requests in flight; pictures encoded before."""
    from openai import AsyncOpenAI

    service: Any = session._service
    address, most = service._connection.base_url, session._most

    async def all_of_them() -> int:
        turn = asyncio.Semaphore(most)
        async with AsyncOpenAI(base_url=address, api_key="none") as client:

            async def one(request: Request) -> int:
                url = {"type": "image_url", "image_url": {"url": request.data_url}}
                content = [{"type": "text", "text": request.prompt}, url]
                async with turn:
                    reply = await client.chat.completions.create(
                        model="bare", messages=[{"role": "user", "content": content}]
                    )
                return len(reply.choices)

            return sum(await asyncio.gather(*map(one, requests)))

    return asyncio.run(all_of_them())
