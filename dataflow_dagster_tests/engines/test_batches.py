import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from dataflow_dagster.engines.batches import Isolation, answer_batches
from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import RowError

TEN = [Request(number, number, f"row {number}") for number in range(10)]


def repeat(batch: Sequence[Request]) -> list[Answered]:
    return [(request.number, Answer(text=request.prompt)) for request in batch]


def refuse_odd(batch: Sequence[Request]) -> list[Answered]:
    if odd := [request.number for request in batch if request.number % 2]:
        raise ValueError(f"odd: {odd}")
    return repeat(batch)


def kinds(answered: Sequence[Answered]) -> list[str]:
    return [given.kind if isinstance(given, RowError) else "answer" for _, given in answered]


def test_all_are_answered_in_order_in_batches_of_that_size() -> None:
    sizes: list[int] = []

    def note(batch: Sequence[Request]) -> list[Answered]:
        sizes.append(len(batch))
        return repeat(batch)

    assert list(answer_batches(iter(TEN), 4, note)) == repeat(TEN)
    assert sizes == [4, 4, 2]


def test_the_next_batch_is_gathered_while_one_is_computed() -> None:
    gathered = threading.Event()

    def requests() -> Iterator[Request]:
        yield from TEN[:2]
        gathered.set()
        yield from TEN[2:4]

    def wait(batch: Sequence[Request]) -> list[Answered]:
        assert gathered.wait(timeout=10)
        return repeat(batch)

    assert len(list(answer_batches(requests(), 2, wait))) == 4


def test_the_next_batch_is_computed_while_answers_are_written() -> None:
    second = threading.Event()

    def note(batch: Sequence[Request]) -> list[Answered]:
        if batch[0].number:
            second.set()
        return repeat(batch)

    answers = answer_batches(iter(TEN[:4]), 2, note)
    next(answers)
    assert second.wait(timeout=10)
    assert len(list(answers)) == 3


def test_an_exception_of_the_engine_reaches_the_caller_and_ends_its_thread() -> None:
    def fail(batch: Sequence[Request]) -> list[Answered]:
        raise MemoryError(len(batch))

    with pytest.raises(MemoryError):
        list(answer_batches(iter(TEN), 4, fail))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


def test_a_bad_row_costs_one_row_of_its_batch() -> None:
    answered = Isolation(refuse_odd).answers(TEN[:5])
    assert kinds(answered) == ["answer", "refused", "answer", "refused", "answer"]
    assert [number for number, _ in answered] == [0, 1, 2, 3, 4]


def test_a_bad_row_tells_what_the_library_said() -> None:
    ((_, refused),) = Isolation(refuse_odd).answers(TEN[3:4])
    assert isinstance(refused, RowError)
    assert refused.message.endswith("ValueError: odd: [3]")


def test_rows_that_all_fail_alike_from_the_start_are_the_engines_fault() -> None:
    def fail(batch: Sequence[Request]) -> list[Answered]:
        raise RuntimeError("no kernel image is available")

    with pytest.raises(RuntimeError, match="no kernel image"):
        Isolation(fail).answers(TEN)


def test_rows_failing_alike_after_good_ones_are_their_own_fault() -> None:
    def fail_late(batch: Sequence[Request]) -> list[Answered]:
        if batch[-1].number > 0:
            raise ValueError("unfit")
        return repeat(batch)

    isolation = Isolation(fail_late)
    isolation.answers(TEN[:1])
    assert kinds(isolation.answers(TEN[1:])) == ["refused"] * 9


@pytest.mark.parametrize(
    "fault", [torch.OutOfMemoryError("CUDA"), MemoryError(), OSError("disk")], ids=repr
)
def test_memory_and_devices_are_never_a_rows_fault(fault: Exception) -> None:
    tried: list[int] = []

    def fail(batch: Sequence[Request]) -> list[Answered]:
        tried.append(len(batch))
        raise fault

    with pytest.raises(type(fault)):
        Isolation(fail).answers(TEN)
    assert tried == [10]
