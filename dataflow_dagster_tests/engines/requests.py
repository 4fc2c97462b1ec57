"""Requests and settings that the engines' tests share."""

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from dataflow_dagster.engines.diffusers.pictures import DrawingSettings
from dataflow_dagster.engines.diffusers.speed import Speed
from dataflow_dagster.engines.language import LanguageSettings, Sampling
from dataflow_dagster.engines.session import Answer, Engine, Request, Session
from dataflow_dagster.models.llava import LLaVACaptioner
from dataflow_dagster.rows import RowError
from dataflow_dagster.scenes.drawing import SEEN, draw

CHECKPOINTS = Path(__file__).parents[2] / "data" / "models"
LLAVA = str(CHECKPOINTS / "scenes_llava")
LLAVA_WEIGHTS = "model.safetensors"
LLAVA_HEAD = "language_model.lm_head.weight"
FLUX = str(CHECKPOINTS / "scenes_flux")

PROMPT = LLaVACaptioner(model_path=LLAVA).render()
LONG = PROMPT.replace("image?", "image? " * 30)
GREEDY = Sampling(0, top_p=1, top_k=0, repetition_penalty=1, max_tokens=24)
WILD = replace(GREEDY, temperature=1)

TRANSFORMERS = Engine("transformers", "", "float32", "cpu")
VLLM = Engine("vllm", "", "float32", "cpu")
DIFFUSERS = Engine("diffusers", "", "float32", "cpu")


def language(sampling: Sampling = GREEDY, **changes: Any) -> LanguageSettings:
    return replace(LanguageSettings(LLAVA, sampling, batch_size=4), **changes)


def drawing(
    *, model_path: str = FLUX, batch_size: int = 3, speed: Speed | None = None, **call: Any
) -> DrawingSettings:
    few = {
        "height": 64,
        "width": 64,
        "guidance_scale": 3.5,
        "num_inference_steps": 2,
        "max_sequence_length": 32,
    }
    return DrawingSettings(model_path, {**few, **call}, batch_size, speed or Speed())


def picture(number: int) -> Image:
    return draw(SEEN[number], random.Random(number))


def ask(number: int, *, seed: int | None = None, prompt: str = PROMPT) -> Request:
    """To describe the scene of that number."""
    return Request(number, number if seed is None else seed, prompt, picture(number))


def answer(session: Session, requests: Sequence[Request]) -> dict[int, Answer | RowError]:
    """Number → answer; each exactly once."""
    answered = list(session.answers(iter(requests)))
    assert len(dict(answered)) == len(answered)
    assert {number for number, _ in answered} == {request.number for request in requests}
    return dict(answered)


def answer_once(session: Session, requests: Sequence[Request]) -> dict[int, Answer | RowError]:
    """The same, after which the session is closed."""
    try:
        return answer(session, requests)
    finally:
        session.close()


def texts(answered: dict[int, Answer | RowError]) -> dict[int, str | None]:
    return {
        number: None if isinstance(given, RowError) else given.text
        for number, given in answered.items()
    }


def change_weights(
    checkpoint: str, file: str, tensor: str, change: Callable[[Tensor], object], into: Path
) -> str:
    """A copy of a checkpoint in which `change` has worked on one tensor, in place."""
    copied = Path(shutil.copytree(checkpoint, into))
    weights = load_file(copied / file)
    change(weights[tensor])
    save_file(weights, copied / file, {"format": "pt"})
    return str(copied)


def make_babbler(into: Path) -> str:
    """The captioner with random last weights: its answers tell small differences apart."""
    own = torch.Generator().manual_seed(0)
    return change_weights(
        LLAVA, LLAVA_WEIGHTS, LLAVA_HEAD, lambda head: head.normal_(std=0.2, generator=own), into
    )
