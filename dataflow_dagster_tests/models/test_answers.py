"""Each captioner on a tiny checkpoint of its architecture, through every engine that serves it."""

import random

import pytest

from dataflow_dagster import registry
from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.engines.transformers.session import _prepare
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import RowError
from dataflow_dagster.scenes.drawing import SEEN, draw
from dataflow_dagster_tests.engines.requests import answer, answer_once
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.models.models_table import MODELS, ModelRow

EIGHT = range(8)
CAPTIONERS = [row for row in MODELS if row.checkpoint and row.writes == "text"]
every_captioner = pytest.mark.parametrize("row", CAPTIONERS, ids=lambda row: row.name)
ON_BOTH = [row for row in CAPTIONERS if len(row.engines) > 1]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Eight scenes of unlike content, size and proportions."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in EIGHT:
        scene = draw(SEEN[number], random.Random(number))
        scene.resize((64 + 16 * (number % 3), 64 + 24 * (number % 2))).save(
            folder / f"{number}.png"
        )
    return [str(folder / f"{number}.png") for number in EIGHT]


def opened(row: ModelRow, model_path: str, **config: object) -> Model:
    greedy = {"temperature": 0, "repetition_penalty": 1, "max_tokens": 16, "max_model_len": 1024}
    given = {"model_path": model_path, "device": "cpu", "batch_size": 3, **greedy, **config}
    return registry.find(row.step_type, row.name).model_validate(given)


def captions(model: Model, pictures: list[str]) -> dict[int, Answer | RowError]:
    requests = [model.request(Given(at, at, image=path)) for at, path in enumerate(pictures)]
    return answer_once(model.open(model.engine()), requests)


def texts(answered: dict[int, Answer | RowError]) -> list[str | None]:
    return [given.text for _, given in sorted(answered.items()) if isinstance(given, Answer)]


@every_captioner
def test_eight_pictures_get_eight_answers_each_its_own(
    row: ModelRow, checkpoint: Checkpoint, pictures: list[str]
) -> None:
    model = opened(row, checkpoint(row.checkpoint), backend="transformers")
    forward = texts(captions(model, pictures))
    assert len(set(forward)) == len(EIGHT)
    assert texts(captions(model, pictures[::-1])) == forward[::-1]


@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
@pytest.mark.parametrize("row", ON_BOTH, ids=lambda row: row.name)
def test_vllm_and_transformers_give_the_same_tokens(
    row: ModelRow, checkpoint: Checkpoint, pictures: list[str]
) -> None:
    path = checkpoint(row.checkpoint)
    vllm, transformers = (
        captions(opened(row, path, backend=name), pictures) for name in ("vllm", "transformers")
    )
    assert len(set(texts(transformers))) == len(EIGHT)
    assert vllm == transformers


@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
def test_how_pictures_are_processed_reaches_both_engines(
    checkpoint: Checkpoint, pictures: list[str]
) -> None:
    (row,) = [row for row in CAPTIONERS if row.checkpoint == "qwen2_vl"]
    path = checkpoint(row.checkpoint)
    plain = captions(opened(row, path, backend="transformers"), pictures)
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    fewer = {"mm_processor_kwargs": {"size": size}, "limit_mm_per_prompt": {"image": 1}}
    vllm, transformers = (
        captions(opened(row, path, backend=name, **fewer), pictures)
        for name in ("vllm", "transformers")
    )
    assert vllm == transformers
    assert prompt_tokens(transformers[1]) < prompt_tokens(plain[1])


def prompt_tokens(given: Answer | RowError) -> int:
    assert isinstance(given, Answer)
    return given.details["prompt_tokens"]


@pytest.mark.parametrize("checkpoint_name", ["llava_next", "mllama"])
def test_a_chat_template_begins_with_one_bos(
    checkpoint_name: str, checkpoint: Checkpoint, pictures: list[str]
) -> None:
    (row,) = [row for row in CAPTIONERS if row.name == "VLMCaptioner"]
    model = opened(row, checkpoint(checkpoint_name), backend="transformers")
    session = model.open(model.engine())
    request = model.request(Given(0, 0, image=pictures[0]))
    assert isinstance(answer(session, [request])[0], Answer)
    loaded = session._opened()  # noqa: SLF001  # what the model is given is seen there alone
    tokens = _prepare(loaded, [request])["input_ids"][0].tolist()
    session.close()
    assert tokens.count(loaded.processor.tokenizer.bos_token_id) == 1
    assert tokens[0] == loaded.processor.tokenizer.bos_token_id


def test_a_limit_below_the_pictures_tokens_is_told_before_the_engine_starts(
    checkpoint: Checkpoint,
) -> None:
    (row,) = [row for row in CAPTIONERS if row.checkpoint == "llava"]
    model = opened(row, checkpoint("llava"), max_model_len=16)
    with pytest.raises(UnfitSettingError, match="prompt and picture alone are"):
        model.open(model.engine())


def test_an_old_yaml_that_splits_mllama_over_eight_gpus_runs_on_a_cpu(
    checkpoint: Checkpoint, pictures: list[str]
) -> None:
    (row,) = [row for row in CAPTIONERS if row.checkpoint == "mllama"]
    model = opened(row, checkpoint("mllama"), tensor_parallel_size=8)
    assert len(texts(captions(model, pictures))) == len(EIGHT)
