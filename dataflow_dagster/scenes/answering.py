"""Runs the scene models in the engines that serve them, for their figures and tests."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

PROMPT = "USER: <image>\nWhat is the content of this image?\nASSISTANT:"
"""LLaVACaptioner's template with its default prompt; the only one the scenes LLaVA answers."""
BATCH = 45


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; a temperature of 0 takes the likeliest."""

    temperature: float
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0


GREEDY = Sampling(temperature=0.0)
DEFAULT = Sampling(temperature=0.6, top_p=0.9, top_k=50, repetition_penalty=1.2)
"""What LLaVACaptioner samples with unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """The settings the scenes FLUX is shown with."""

    steps: int = 6
    guidance_scale: float = 4.5
    max_sequence_length: int = 32
    precision: str = "float32"


def caption_with_transformers(
    folder: Path, pictures: Sequence["Image"], sampling: Sampling = GREEDY, prompt: str = PROMPT
) -> list[str]:
    """One answer a picture, in order, without the spaces at its ends."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
    torch.manual_seed(0)
    answers: list[str] = []
    for start in range(0, len(pictures), BATCH):
        batch = list(pictures[start : start + BATCH])
        inputs = processor(text=[prompt] * len(batch), images=batch, return_tensors="pt")
        tokens = model.generate(**inputs, **_spell_for_transformers(sampling), max_new_tokens=256)
        answers += processor.batch_decode(
            tokens[:, inputs.input_ids.shape[1] :], skip_special_tokens=True
        )
    return [answer.strip() for answer in answers]


def _spell_for_transformers(sampling: Sampling) -> dict[str, float | bool]:
    penalty = {"repetition_penalty": sampling.repetition_penalty}
    if sampling.temperature == 0:
        return {"do_sample": False, **penalty}
    return {
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        **penalty,
    }


def caption_with_vllm(
    folder: Path, pictures: Sequence["Image"], samplings: Sequence[Sampling]
) -> list[list[str]]:
    """One list of answers a sampling, from one engine in this process, on the CPU in float32."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    # vLLM logs to stdout, and on a CPU warns several times a picture that it keeps its threads.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import LLM, SamplingParams

    engine: Any = LLM(
        model=str(folder),
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        limit_mm_per_prompt={"image": 1},
        seed=0,
    )
    requests = [{"prompt": PROMPT, "multi_modal_data": {"image": image}} for image in pictures]
    return [
        [
            answer.outputs[0].text.strip()
            for answer in engine.generate(
                requests,
                SamplingParams(
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    top_k=sampling.top_k,
                    repetition_penalty=sampling.repetition_penalty,
                    max_tokens=256,
                ),
            )
        ]
        for sampling in samplings
    ]


def draw_with_flux(
    folder: Path, captions: Sequence[str], drawing: Drawing = Drawing(), seed: int = 0
) -> list["Image"]:
    """64 x 64 pixels each, in order; picture n is drawn from seed `seed + n`."""
    import torch
    from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

    precision = getattr(torch, drawing.precision)
    pipeline: Any = FluxPipeline.from_pretrained(folder, dtype=precision)
    pipeline.set_progress_bar_config(disable=True)
    pictures: list[Image] = []
    for start in range(0, len(captions), BATCH):
        batch = list(captions[start : start + BATCH])
        pictures += pipeline(
            batch,
            height=64,
            width=64,
            num_inference_steps=drawing.steps,
            guidance_scale=drawing.guidance_scale,
            max_sequence_length=drawing.max_sequence_length,
            generator=[torch.Generator().manual_seed(seed + start + n) for n in range(len(batch))],
        ).images
    return pictures


def caption_clips(
    folder: Path,
    clips: Sequence[Path],
    backend: str,
    sampling: Sampling = GREEDY,
    num_frames: int = 4,
) -> list[str]:
    """One answer a clip, in order, by `QwenVLCaptioner`, on the CPU in float32."""
    from dataflow_dagster.engines.session import Answer
    from dataflow_dagster.models.declaration import Given
    from dataflow_dagster.models.video_qwen_vl import QwenVLCaptioner

    where = {"model_path": str(folder), "backend": backend, "device": "cpu", "max_tokens": 32}
    said = {**asdict(sampling), "num_frames": num_frames, "max_model_len": 512}
    model = QwenVLCaptioner.model_validate({**where, **said})
    requests = [model.request(Given(at, at, video=str(clip))) for at, clip in enumerate(clips)]
    session = model.open(model.engine())
    try:
        answered = dict(session.answers(iter(requests)))
    finally:
        session.close()
    ordered = (answered[number] for number in range(len(clips)))
    return [(answer.text or "") if isinstance(answer, Answer) else "" for answer in ordered]
