from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from dataflow_dagster.engines.diffusers.pictures import DrawingSettings
from dataflow_dagster.engines.diffusers.pictures import open_session as open_diffusers
from dataflow_dagster.engines.errors import EngineMemoryError
from dataflow_dagster.engines.language import LanguageSettings, Sampling
from dataflow_dagster.engines.memory import Fitting, loading_memory
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request, notes_of
from dataflow_dagster.engines.transformers.session import open_session as open_transformers
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.toys.process import ROOT

MODELS = ROOT / "data/models"
CPU = Engine("any", "1", "float32", "cpu")


def requests(count: int) -> Iterator[Request]:
    return (Request(number, number, "a red circle on a blue background") for number in range(count))


class Memory:
    """Room for so many rows at once; some rows are too large for any room."""

    def __init__(self, room: int, large: frozenset[int] = frozenset()) -> None:
        self.room = room
        self.large = large
        self.tried: list[int] = []

    def answer(self, batch: Sequence[Request]) -> list[Answered]:
        self.tried.append(len(batch))
        if len(batch) > self.room or any(one.number in self.large for one in batch):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return [(one.number, Answer(text="fine")) for one in batch]


def test_a_batch_that_does_not_fit_is_halved_and_the_size_is_remembered() -> None:
    memory = Memory(3)
    fitting = Fitting(memory.answer, 8, "config key x")
    for _ in range(2):
        answered = fitting.answers(list(requests(8)))
        assert [number for number, _ in answered] == list(range(8))
    assert memory.tried == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert fitting.notes == {"batch_size": "2 instead of 8: memory ran out"}


def test_a_row_that_is_too_large_alone_costs_itself() -> None:
    fitting = Fitting(Memory(1, frozenset({5})).answer, 2, "config key x")
    answered = dict(fitting.answers(list(requests(8))))
    assert [n for n, answer in answered.items() if isinstance(answer, RowError)] == [5]
    assert isinstance(answered[5], RowError)
    assert (answered[5].kind, "config key x" in answered[5].message) == ("out_of_memory", True)


def test_rows_that_never_fit_end_the_step_and_name_the_keys() -> None:
    with pytest.raises(EngineMemoryError, match=r"a single row does not fit .*; turn config key x"):
        Fitting(Memory(0).answer, 4, "config key x").answers(list(requests(9)))


def test_other_faults_pass() -> None:
    def fail(batch: Sequence[Request]) -> list[Answered]:
        raise RuntimeError("no kernel image")

    with pytest.raises(RuntimeError, match="no kernel image"):
        Fitting(fail, 4, "").answers(list(requests(4)))


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        ValueError("No available memory for the cache blocks. Try increasing"),
    ],
    ids=repr,
)
def test_a_model_that_does_not_fit_names_the_keys(fault: Exception) -> None:
    told = r"does not fit .*; turn config keys a and b"
    with pytest.raises(EngineMemoryError, match=told), loading_memory("config keys a and b"):
        raise fault


def test_a_real_pipeline_draws_all_rows_in_smaller_batches() -> None:
    settings = DrawingSettings(
        str(MODELS / "scenes_flux"), {"height": 64, "width": 64, "num_inference_steps": 1}, 4
    )
    session = open_diffusers(CPU, settings)
    with closing(session):
        pipeline: Any = session._pipeline  # noqa: SLF001  # its memory is made small
        _limit(pipeline.transformer, "hidden_states", 2)
        answered = list(session.answers(requests(6)))
        assert [number for number, _ in answered] == list(range(6))
        assert all(isinstance(answer, Answer) for _, answer in answered)
        assert notes_of(session) == {"batch_size": "2 instead of 4: memory ran out"}


def test_a_real_language_model_answers_all_rows_in_smaller_batches() -> None:
    settings = LanguageSettings(str(MODELS / "scenes_llava"), Sampling(0, 1, 0, 1, 4), batch_size=4)
    session = open_transformers(CPU, settings)
    with closing(session):
        loaded: Any = session._loaded  # noqa: SLF001  # its memory is made small
        _limit(loaded.model, "input_ids", 2)
        answered = list(session.answers(requests(5)))
        assert sorted(number for number, _ in answered) == list(range(5))
        assert all(isinstance(answer, Answer) for _, answer in answered), answered
        assert notes_of(session) == {"batch_size": "2 instead of 4: memory ran out"}


def _limit(module: Any, argument: str, rows: int) -> None:
    """Have a module's memory suffice for so many rows."""

    def check(_: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs[argument].shape[0] > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    module.register_forward_pre_hook(check, with_kwargs=True)


@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
def test_vllm_without_room_for_its_cache_names_the_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del tmp_path
    from dataflow_dagster.engines.vllm.session import open_session as open_vllm

    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "0")
    settings = LanguageSettings(str(MODELS / "scenes_llava"), Sampling(0, 1, 0, 1, 4))
    with pytest.raises(EngineMemoryError, match="turn config keys max_model_len, max_num_seqs"):
        open_vllm(CPU, settings)
