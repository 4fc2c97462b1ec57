"""What all models behind an API share: their keys, and that the key is never shown."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from dataflow_dagster import registry
from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.models.api import ApiModel
from dataflow_dagster.models.gpt_captioner import GPTCaptioner
from dataflow_dagster.models.text_api import GPTTextGenerator
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster_tests.engines.api_server import KEY, ApiServer, Reply, error
from dataflow_dagster_tests.toys.pipelines import pipeline, read_rows, text_rows
from dataflow_dagster_tests.toys.runs import failure_of, materialize

NAMES = [
    ("ImageCaptioner", "GPTCaptioner"),
    ("ImageCaptioner", "ImageAPICaptioner"),
    ("ImageGenerator", "ImageAPIGenerator"),
    ("TextGenerator", "GPTTextGenerator"),
    ("TextGenerator", "APIGenerator"),
]
every_model = pytest.mark.parametrize("name", NAMES, ids=lambda name: name[1])


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


def made(name: tuple[str, str], **config: Any) -> ApiModel:
    return registry.find(*name).model_validate(config)


def step(server: ApiServer, **config: Any) -> dict[str, Any]:
    config = {"base_url": server.url, "api_key": "${SENTINEL_KEY}", "max_retries": 0, **config}
    return {"type": "TextGenerator", "name": "GPTTextGenerator", "config": config}


@every_model
def test_every_key_of_the_server_reaches_the_engine(name: tuple[str, str]) -> None:
    model = made(
        name, base_url="http://h/v1/", api_key=KEY, max_num_seqs=3, max_retries=2, timeout_s=1.5
    )
    settings = model.api_settings()
    assert settings.endpoint.base_url == "http://h/v1"
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert (settings.max_num_seqs, settings.patience.max_retries) == (3, 2)
    assert settings.patience.timeout_s == 1.5


@every_model
def test_the_key_of_rows_holds_the_server_and_neither_key_nor_haste(name: tuple[str, str]) -> None:
    plain = made(name, base_url="http://h/v1", max_num_seqs=8).key_settings()
    same = {"api_key": KEY, "max_num_seqs": 9, "max_retries": 1, "timeout_s": 5.0}
    assert made(name, base_url="http://h/v1", **same).key_settings() == plain
    assert made(name, base_url="http://other/v1", max_num_seqs=8).key_settings() != plain


@every_model
def test_a_provider_by_name_or_by_address_is_one_server(name: tuple[str, str]) -> None:
    field = "model_id" if name[1] == "APIGenerator" else "model"
    by_name = made(name, **{field: "openai:m"}).key_settings()
    by_address = made(name, **{field: "m"}, base_url="https://api.openai.com/v1").key_settings()
    assert by_name == by_address == made(name, **{field: "m"}).key_settings()
    assert by_name != made(name, **{field: "other"}).key_settings()


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:8000/v1", "ftp://h", "http://"),
        *("http://u:pw@h/v1", "http://h/v1?api-key=pw", "http://h/v1#pw"),
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url") as refused:
        GPTCaptioner(base_url=url)
    messages = [str(one["ctx"]["error"]) for one in refused.value.errors()]
    assert "pw" not in "".join(messages)


def test_a_key_in_the_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    model = {"type": "TextGenerator", "name": "GPTTextGenerator"}
    config = {"base_url": f"http://h/v1?api-key={KEY}"}
    with pytest.raises(PipelineError, match="a key belongs into 'api_key'") as refused:
        pipeline(tmp_path, [{**model, "config": config}])
    assert KEY not in str(refused.value)


def test_an_address_may_be_a_variable() -> None:
    assert GPTCaptioner(base_url="${API_URL}").base_url == "${API_URL}"


@pytest.mark.parametrize("given", ["${SENTINEL_KEY}", KEY], ids=["variable", "literal"])
def test_a_run_answers_rows_and_shows_the_key_nowhere(
    given: str,
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SENTINEL_KEY", KEY)
    server.replies["row 1"] = [error(400, f"{KEY} sent a bad row")]
    caplog.set_level(logging.DEBUG)
    spec = pipeline(tmp_path, [step(server, api_key=given)], rows=text_rows(3))
    (tmp_path / "demo.yaml").unlink()
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        result = materialize(spec, instance=instance)
        assert result.success
        told = str(instance.all_logs(result.run_id))
    rows = read_rows(tmp_path / "demo" / "out" / "result.jsonl")
    assert [row["text"] for row in rows] == ["said: row 0", "row 1", "said: row 2"]
    assert rows[1]["dataflow_error"]["message"] == "HTTP 400: *** sent a bad row"
    assert server.keys[0] == f"Bearer {KEY}"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    shown = capfd.readouterr()
    for place in (told, caplog.text, shown.out, shown.err, written.decode("utf-8", "replace")):
        assert KEY not in place
    ready = spec.with_environment({"SENTINEL_KEY": KEY})
    assert KEY not in repr(ready) + ready.model_dump_json()
    for asset in PipelineAssets(spec).build():
        assert KEY not in str([*asset.specs, asset.op.tags])


def test_a_wrong_key_ends_the_step_in_plain_words_and_the_work_done_is_kept(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTINEL_KEY", KEY)
    wrong = error(401, f"Incorrect API key provided: {KEY}")
    server.replies["row 2"] = [wrong, Reply(body={"choices": [{"message": {"content": "late"}}]})]
    spec = pipeline(tmp_path, [step(server, max_num_seqs=1)], rows=text_rows(4))
    failed = materialize(spec)
    said = failure_of(failed, "demo__texts")
    assert "Incorrect API key provided: ***" in said
    assert "Traceback" not in said
    assert KEY not in said
    assert materialize(spec).success
    rows = read_rows(tmp_path / "demo" / "out" / "result.jsonl")
    assert [row["text"] for row in rows] == ["said: row 0", "said: row 1", "late", "said: row 3"]
    assert server.tries("row 0") == 1


def test_a_missing_client_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow_dagster.engines.openai.client.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r'pip install -e "\.\[api\]"'):
        GPTTextGenerator().engine()
