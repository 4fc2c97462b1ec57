"""A pipeline of diffusers behind the face of a session: batches of one constant shape."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dataflow_dagster.engines.batches import Isolation, answer_batches
from dataflow_dagster.engines.memory import Fitting, free_memory
from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from numpy import ndarray


class PipelineSession(ABC):
    """Answers are given batch by batch, in order.

    Every call has `batch_size` rows, the last one filled up by repeating a row: with an equal
    batch shape what is made of a row is bit-identical whatever its neighbours, while across shapes
    values differ by up to 1/255 (float32) or 8/255 (bfloat16). Where memory runs out, the size is
    halved for the rest of the run.

    Args:
        pipeline: Of diffusers, loaded and in its place.
        call: Arguments of its call that are the same for all rows.
        batch_size: Rows of each call.
        smaller: What to turn where memory does not suffice for one row.
    """

    def __init__(
        self, pipeline: Any, call: Mapping[str, Any], batch_size: int, smaller: str
    ) -> None:
        self._pipeline: Any = pipeline
        self._call = call
        self._batch_size = batch_size
        self._fitting = Fitting(self._answer, batch_size, smaller)
        self._isolation = Isolation(self._fitting.answers)

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`."""
        return self._fitting.notes

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`; at most two batches of requests are held."""
        return answer_batches(requests, self._batch_size, self._isolation.answers)

    def close(self) -> None:
        """Let go of the weights, and of the GPU memory that torch keeps for reuse."""
        self._pipeline = None
        free_memory()

    @abstractmethod
    def _make(self, rows: Sequence[Request]) -> "ndarray[Any, Any]":
        """Values in [0, 1], (rows, ..., height, width, 3)."""

    @abstractmethod
    def _check(self, request: Request, values: "ndarray[Any, Any]") -> Answer | RowError:
        """What was made of one row, if it is worth keeping."""

    def _arguments(self, rows: Sequence[Request]) -> dict[str, Any]:
        """Of the pipeline's call: what all kinds of pipelines take."""
        import torch

        shared = {**self._call}
        if "negative_prompt" in shared:  # diffusers takes one for each row
            shared["negative_prompt"] = [shared["negative_prompt"]] * len(rows)
        # On the CPU whatever the device: the same noise everywhere.
        generators = [torch.Generator("cpu").manual_seed(row.seed) for row in rows]
        return {**shared, "generator": generators, "output_type": "np"}

    def _answer(self, batch: Sequence[Request]) -> list[Answered]:
        missing = self._fitting.size - len(batch)
        made = self._make([*batch, *[batch[-1]] * missing])[: len(batch)]
        return [
            (request.number, self._check(request, values))
            for request, values in zip(batch, made, strict=True)
        ]
