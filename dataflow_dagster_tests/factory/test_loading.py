import json
import logging
from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster import build_definitions
from dataflow_dagster.factory.broken import BrokenPipelineError
from dataflow_dagster.factory.loading import VALIDATION, merged_definitions
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, with_config, write_pipeline
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
SECRET = "sk-a-literal-key-0123456789"


def _keys(definitions: dg.Definitions) -> set[str]:
    graph = definitions.resolve_asset_graph()
    return {key.to_user_string() for key in graph.get_all_asset_keys()}


def _broken(definitions: dg.Definitions) -> dict[str, str]:
    found = definitions.metadata.get("broken_pipelines")
    return {} if found is None else dict(found.value)


def test_one_file_becomes_definitions_that_load(tmp_path: Path) -> None:
    definitions = build_definitions(str(write_pipeline(tmp_path, [SHOUT])))
    dg.Definitions.validate_loadable(definitions)
    assert _keys(definitions) == {"demo/raw_meta", "demo/texts", "demo/results"}
    job = definitions.resolve_job_def("demo_pipeline")
    assert len(job.nodes) == 3


def test_they_merge_with_a_users_own_assets(tmp_path: Path) -> None:
    texts = dg.AssetKey(["demo", "texts"])

    @dg.asset(ins={"rows": dg.AssetIn(key=texts)}, io_manager_key="dataflow_jsonl")
    def own(rows: list[dict]) -> list[dict]:
        return rows

    mine = dg.Definitions(assets=[own])
    merged = dg.Definitions.merge(build_definitions(write_pipeline(tmp_path, [SHOUT])), mine)
    dg.Definitions.validate_loadable(merged)
    assert "own" in _keys(merged)


def test_a_wrong_file_asked_for_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"demo.yaml:\d+: stepz"):
        build_definitions(write_pipeline(tmp_path, [SHOUT], stepz=1))


def test_a_broken_file_takes_no_other_down_and_is_told_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("meta_path: [\n")
    files = [write_pipeline(tmp_path, [SHOUT], name=name) for name in ("one", "two")]
    definitions = merged_definitions([files[0], bad, files[1]], {})
    dg.Definitions.validate_loadable(definitions)
    assert {key.split("/")[0] for key in _keys(definitions)} == {"one", "two"}
    assert list(_broken(definitions)) == [str(bad)]
    assert _broken(definitions)[str(bad)].startswith(f"{bad}:")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert str(bad) in record.getMessage()


def test_broken_files_of_one_name_are_sensors_that_fail_with_what_is_wrong(
    tmp_path: Path,
) -> None:
    (tmp_path / "more").mkdir()
    bad = [write_pipeline(folder, [SHOUT], stepz=1) for folder in (tmp_path, tmp_path / "more")]
    repository = merged_definitions(bad, {}).get_repository_def()
    sensors = sorted(repository.sensor_defs, key=lambda sensor: str(sensor.description))
    assert len({sensor.name for sensor in sensors}) == 2
    for file, sensor in zip(sorted(bad), sensors, strict=True):
        assert sensor.name.startswith("demo_broken_")
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert f"{file}:4: stepz: " in str(sensor.description)
        with pytest.raises(BrokenPipelineError, match=r"demo\.yaml:4: stepz: "):
            sensor(dg.build_sensor_context())


def test_a_check_of_the_definitions_fails_with_all_that_is_wrong(tmp_path: Path) -> None:
    bad = [write_pipeline(tmp_path, [SHOUT], name=name, stepz=1) for name in ("one", "two")]
    files = [*bad, write_pipeline(tmp_path, [SHOUT], name="good")]
    with pytest.raises(dg.DagsterInvalidDefinitionError) as told:
        merged_definitions(files, {VALIDATION: "1"})
    for file in bad:
        assert f"{file}:4: stepz: " in str(told.value)


def test_of_two_pipelines_with_one_name_the_first_stays(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    first, second = write_pipeline(tmp_path, [SHOUT]), write_pipeline(tmp_path / "more", [SHOUT])
    definitions = merged_definitions([first, second], {})
    assert len(_keys(definitions)) == 3
    assert "'demo' is the name of" in _broken(definitions)[str(second)]


def test_no_pipelines_at_all_load() -> None:
    definitions = merged_definitions([], {})
    dg.Definitions.validate_loadable(definitions)
    assert _keys(definitions) == set()
    assert _broken(definitions) == {}


def test_an_unset_variable_is_a_warning_with_file_and_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_pipeline(tmp_path, [with_config(SHOUT, api_key="${TOY_KEY_NOT_SET}")])
    definitions = merged_definitions([path], {})
    assert len(_keys(definitions)) == 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{path}:9: steps[0].config.api_key: the environment variable TOY_KEY_NOT_SET is not set"
    )


@pytest.mark.parametrize("given", [SECRET, "${TOY_SECRET}"])
def test_an_api_key_leaves_no_trace(
    tmp_path: Path,
    given: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TOY_SECRET", SECRET)
    step = with_config(SHOUT, api_key=given)
    definitions = build_definitions(write_pipeline(tmp_path, [step]))
    specs = list(definitions.resolve_all_asset_specs())
    assert SECRET not in repr(specs) + json.dumps([str(spec.metadata) for spec in specs])
    of = pipeline(tmp_path, [step])
    assert SECRET not in repr(of)
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = materialize(of, instance=instance)
        assert result.success
        assert SECRET not in "".join(str(entry) for entry in instance.all_logs(result.run_id))
        assert SECRET not in str(result.dagster_run)
    out, err = capfd.readouterr()
    assert SECRET not in out + err + caplog.text
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    assert any(path.name.endswith("manifest.json") for path in written)
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_a_key_of_a_wrong_type_is_not_shown(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [with_config(SHOUT, api_key=[SECRET])])
    told = _broken(merged_definitions([path], {}))[str(path)]
    assert "api_key" in told
    assert SECRET not in told
