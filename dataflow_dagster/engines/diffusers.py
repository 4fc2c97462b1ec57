"""Pictures by Hugging Face diffusers: batches of one constant shape, a generator per row."""

import gc
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataflow_dagster.engines.batches import Isolation, answer_batches
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from numpy import ndarray


@dataclass(frozen=True, slots=True)
class DrawingSettings:
    """How a text-to-image pipeline is opened and called; see `ImageGenerator` for the meanings."""

    model_path: str
    height: int
    width: int
    guidance_scale: float
    num_inference_steps: int
    max_sequence_length: int
    batch_size: int


class DiffusersSession:
    """Answers are given batch by batch, in order.

    Every call has `batch_size` rows, the last one filled up by repeating a row: with an equal
    batch shape a row's picture is bit-identical whatever its neighbours, while across shapes
    values differ by up to 1/255 (float32) or 8/255 (bfloat16).
    """

    def __init__(self, pipeline: Any, settings: DrawingSettings) -> None:
        self._pipeline: Any = pipeline
        self._settings = settings
        self._isolation = Isolation(self._answer)

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`; at most two batches of requests are held."""
        return answer_batches(requests, self._settings.batch_size, self._isolation.answers)

    def close(self) -> None:
        """Let go of the weights, and of the GPU memory that torch keeps for reuse."""
        import torch

        self._pipeline = None
        gc.collect()  # modules refer to themselves in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _answer(self, batch: Sequence[Request]) -> list[Answered]:
        missing = self._settings.batch_size - len(batch)
        drawn = self._draw([*batch, *[batch[-1]] * missing])[: len(batch)]
        return [
            (request.number, self._check(request, values))
            for request, values in zip(batch, drawn, strict=True)
        ]

    def _draw(self, rows: Sequence[Request]) -> "ndarray[Any, Any]":
        """Values in [0, 1], (rows, height, width, 3)."""
        import torch

        given = self._settings
        return self._pipeline(
            prompt=[row.prompt for row in rows],
            height=given.height,
            width=given.width,
            guidance_scale=float(given.guidance_scale),
            num_inference_steps=given.num_inference_steps,
            max_sequence_length=given.max_sequence_length,
            # On the CPU whatever the device: the same noise everywhere.
            generator=[torch.Generator("cpu").manual_seed(row.seed) for row in rows],
            output_type="np",
        ).images

    def _check(self, request: Request, values: "ndarray[Any, Any]") -> Answer | RowError:
        import numpy as np
        from PIL import Image

        if not np.isfinite(values).all():
            return RowError("not_finite", "the picture has values that are not finite numbers")
        pixels = (values * 255).round().astype(np.uint8)
        if (pixels == pixels[0, 0]).all():
            colour = tuple(pixels[0, 0].tolist())
            return RowError("flat_picture", f"every pixel of the picture has the colour {colour}")
        return Answer(picture=Image.fromarray(pixels), details=self._details(request))

    def _details(self, request: Request) -> dict[str, int | bool]:
        tokens = len(_counting_tokenizer(self._pipeline)(request.prompt).input_ids)
        cut = tokens > self._settings.max_sequence_length
        return {"seed": request.seed, "prompt_tokens": tokens, "prompt_truncated": cut}


def open_session(engine: Engine, settings: DrawingSettings) -> DiffusersSession:
    """Load the pipeline onto the engine's device; minutes for billions of weights."""
    import torch
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from diffusers.utils.logging import disable_progress_bar as hide_bars_of_diffusers
    from transformers.utils.logging import disable_progress_bar as hide_bars_of_transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    hide_bars_of_diffusers()
    hide_bars_of_transformers()
    # A torch dtype, not its name: diffusers 0.42 loads float32 for a name, with only a warning.
    pipeline: Any = DiffusionPipeline.from_pretrained(
        settings.model_path, dtype=getattr(torch, engine.precision)
    )
    pipeline.set_progress_bar_config(disable=True)
    _hush_truncation(pipeline)
    return DiffusersSession(pipeline.to(engine.device), settings)


def _hush_truncation(pipeline: Any) -> None:
    """A prompt that is cut is told on its row; the libraries would log all that was cut off."""
    for name in (type(pipeline).__module__, "transformers.tokenization_utils_base"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _counting_tokenizer(pipeline: Any) -> Any:
    """That of the encoder which reads the whole prompt: T5's, the last, where there are several."""
    names = ("tokenizer_3", "tokenizer_2", "tokenizer")
    found = (getattr(pipeline, name, None) for name in names)
    return next(tokenizer for tokenizer in found if tokenizer is not None)
