"""Captions by Hugging Face transformers: batches of rows, left-padded."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.engines.batches import Isolation, answer_batches
from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.frames import alike, on_a_clock
from dataflow_dagster.engines.language import (
    LanguageSettings,
    ended_at,
    refuse_memory_share,
    tidy,
    too_long,
)
from dataflow_dagster.engines.memory import Fitting, free_memory, loading_memory
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request
from dataflow_dagster.engines.transformers.model import Loaded, load
from dataflow_dagster.engines.transformers.sampler import RowSampler
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from torch import Tensor


SMALLER: Final = "config keys max_tokens, max_model_len, tensor_parallel_size and dtype"


class TransformersSession:
    """Answers are given batch by batch, in order."""

    def __init__(self, loaded: Loaded, settings: LanguageSettings) -> None:
        self._loaded: Loaded | None = loaded
        self._sampling = settings.sampling
        own = frozenset[int]() if settings.sampling.ignore_eos else loaded.end_tokens
        self._ends = own.union(settings.sampling.stop_token_ids)
        loaded.model.generation_config.eos_token_id = sorted(self._ends) or None
        self._size = min(settings.batch_size, settings.max_num_seqs)
        self._fitting = Fitting(self._answer, self._size, SMALLER)
        self._isolation = Isolation(self._fitting.answers)

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`."""
        return self._fitting.notes

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`; at most two batches of requests are held."""
        return answer_batches(requests, self._size, self._isolation.answers)

    def close(self) -> None:
        """Let go of the weights, and of the GPU memory that torch keeps for reuse."""
        self._loaded = None
        free_memory()

    def _answer(self, batch: Sequence[Request]) -> list[Answered]:
        groups = alike(batch)
        return [pair for group in groups for pair in self._answer_alike(group)]

    def _answer_alike(self, batch: Sequence[Request]) -> list[Answered]:
        loaded = self._opened()
        inputs = _prepare(loaded, batch)
        lengths = [int(length) for length in inputs["attention_mask"].sum(dim=1)]
        refused = [
            (request.number, too_long(loaded.limit, length))
            for request, length in zip(batch, lengths, strict=True)
            if loaded.limit is not None and length >= loaded.limit
        ]
        if not refused:
            return self._generate(loaded, batch, inputs, lengths)
        numbers = {number for number, _ in refused}
        fitting = [request for request in batch if request.number not in numbers]
        return [*refused, *(self._answer_alike(fitting) if fitting else [])]

    def _generate(
        self, loaded: Loaded, batch: Sequence[Request], inputs: Any, lengths: Sequence[int]
    ) -> list[Answered]:
        import torch

        inputs = inputs.to(loaded.model.device, loaded.model.dtype)  # token ids keep their type
        sampler = RowSampler(
            self._sampling,
            [request.seed for request in batch],
            inputs["attention_mask"],
            self._ends | loaded.end_tokens,
        )
        with torch.inference_mode():
            tokens = loaded.model.generate(
                **inputs,
                max_new_tokens=self._sampling.max_tokens,
                logits_processor=[sampler],
                stopping_criteria=_stopping(lengths, loaded),
            )
        new = tokens[:, inputs["input_ids"].shape[1] :].tolist()
        broken = sampler.broken.tolist()
        return [
            (request.number, self._read(loaded, length, row, not_finite=bad))
            for request, length, row, bad in zip(batch, lengths, new, broken, strict=True)
        ]

    def _read(
        self, loaded: Loaded, prompt_tokens: int, tokens: list[int], *, not_finite: bool
    ) -> Answer | RowError:
        if not_finite:
            return RowError("not_finite", "the model's logits are not finite numbers")
        room = self._sampling.max_tokens
        if loaded.limit is not None:
            room = min(room, loaded.limit - prompt_tokens)
        tokens = tokens[:room]
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        tokens = tokens if end is None else tokens[: end + 1]
        text, stopped = self._text(loaded.processor.tokenizer, tokens, ended=end is not None)
        details = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(tokens),
            "finish_reason": "stop" if stopped else "length",
        }
        return Answer(text=tidy(text), details=details)

    def _text(self, tokenizer: Any, tokens: list[int], *, ended: bool) -> tuple[str, bool]:
        """The answer's text, and whether something ended it; `ended`: its last token did."""
        wanted = self._sampling
        skip, included = wanted.skip_special_tokens, wanted.include_stop_str_in_output
        told = tokens[:-1] if ended and not included else tokens
        text = tokenizer.decode(told, skip_special_tokens=skip)
        first = tokenizer.decode(tokens[: wanted.min_tokens], skip_special_tokens=skip)
        end = ended_at(text, wanted.stop, after=len(first), included=included)
        return (text, ended) if end is None else (text[:end], True)

    def _opened(self) -> Loaded:
        if self._loaded is None:
            raise RuntimeError("this session is closed")
        return self._loaded


def open_session(engine: Engine, settings: LanguageSettings) -> TransformersSession:
    """Load the model; some seconds for a small one, minutes for billions of weights.

    Raises:
        UnfitSettingError: A setting that transformers cannot honour.
    """
    refuse_memory_share(engine, settings)
    if settings.quantization is not None:
        raise UnfitSettingError(
            "quantization",
            settings.quantization,
            "transformers runs the weights as they are stored; backend 'vllm' quantizes them",
        )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    _limit_gpu_memory(settings.gpu_memory_utilization)
    with loading_memory(SMALLER):
        return TransformersSession(load(engine, settings), settings)


def _limit_gpu_memory(share: float | None) -> None:
    import torch

    if share is not None:
        torch.cuda.set_per_process_memory_fraction(share)


def _prepare(loaded: Loaded, batch: Sequence[Request]) -> Any:
    texts = [request.prompt for request in batch]
    options = {"padding": True, "add_special_tokens": loaded.add_special_tokens}
    return loaded.processor(text=texts, return_tensors="pt", **_media(loaded, batch), **options)


def _media(loaded: Loaded, batch: Sequence[Request]) -> dict[str, Any]:
    kwargs = dict(loaded.medium_kwargs)
    if batch[0].frames is not None:
        clips = [request.frames for request in batch if request.frames is not None]
        kwargs |= {"do_sample_frames": False, "video_metadata": list(map(on_a_clock, clips))}
        return {"videos": [clip.pixels for clip in clips], "videos_kwargs": kwargs}
    if batch[0].picture is None:
        return {}
    # A list for each row: Mllama takes a flat one for the pictures of a single row.
    return {"images": [[request.picture] for request in batch], "images_kwargs": kwargs}


def _stopping(lengths: Sequence[int], loaded: Loaded) -> list[Any]:
    """Ends a row's answer where its prompt and answer reach the model's limit."""
    if loaded.limit is None:
        return []
    import torch

    limit, padded = loaded.limit, max(lengths)
    prompts = torch.tensor(lengths, device=loaded.model.device)

    def is_full(input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        del scores  # asked for by the caller
        return prompts + (input_ids.shape[1] - padded) >= limit

    return [is_full]
