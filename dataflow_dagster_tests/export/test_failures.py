import pytest

from dataflow_dagster.export.failures import Failures
from dataflow_dagster.ledger.shard import BrokenShardError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.steps.driving import Ground, partition_keys, step


def _failures(pipeline: PipelineSpec) -> Failures:
    return Failures(pipeline, partition_keys(pipeline))


def _run(ground: Ground, **keys: object) -> PipelineSpec:
    ground.rows(*({"id": n, "text": "unfit" if n % 3 == 0 else f"t{n}"} for n in range(6)))
    return ground.run(step("Upper"), step("Upper", refuses=["T4"]), **keys).pipeline


@pytest.mark.parametrize("keys", [{}, {"shards": 2}, {"format": "parquet"}])
def test_they_are_listed_in_the_order_of_the_rows(ground: Ground, keys: dict[str, object]) -> None:
    found = list(_failures(_run(ground, **keys)))
    assert [(one.id, one.step, one.kind) for one in found] == [
        ("0", "texts", "unfit"),
        ("3", "texts", "unfit"),
        ("4", "texts_2", "refused"),
    ]
    assert found[2].message == "no answer to T4"
    assert found[2].row["id"] == 4


def test_before_results_the_last_finished_step_tells_them(ground: Ground) -> None:
    pipeline = _run(ground, shards=2)
    for file in (ground.folder / "out").rglob("*manifest*"):
        file.unlink()
    for file in (ground.folder / "base/step_2_Probe_Upper").rglob("00001*"):
        file.unlink()
    failures = _failures(pipeline)
    assert [(one.id, one.kind, one.row) for one in failures] == [
        ("0", "unfit", {"id": 0, "text": "unfit"}),
        ("3", "unfit", {"id": 3, "text": "unfit"}),
    ]
    assert [state.asset for state in failures.states] == ["texts_2", "texts"]


def test_results_that_are_older_than_a_step_do_not_hide_it(ground: Ground) -> None:
    pipeline = _run(ground)
    results = ground.folder / "out/result.manifest.json"
    kept = results.read_bytes(), (ground.folder / "out/errors.jsonl").read_bytes()
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(6)))
    ground.run(step("Upper"), step("Upper", refuses=["T4"]))
    results.write_bytes(kept[0])
    assert [one.id for one in _failures(pipeline)] == ["4"]


def test_where_nothing_ran_there_is_nothing(ground: Ground) -> None:
    ground.rows({"text": "a"})
    failures = _failures(ground.pipeline(step("Upper"), shards=3))
    assert (list(failures), failures.rows, failures.missing) == ([], 0, 3)


def test_a_list_that_was_deleted_is_an_error_and_not_an_empty_list(ground: Ground) -> None:
    pipeline = _run(ground)
    (ground.folder / "out/errors.jsonl").unlink()
    with pytest.raises(BrokenShardError, match=r"errors.jsonl is missing: run the pipeline again"):
        list(_failures(pipeline))


def test_results_without_the_steps_rows_still_tell(ground: Ground) -> None:
    import shutil

    pipeline = _run(ground)
    shutil.rmtree(ground.folder / "base")
    assert len(list(_failures(pipeline))) == 3
