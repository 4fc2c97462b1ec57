from pathlib import Path

import pytest

from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import StepSpec


def step(*lines: str, config: str = "{}", name: str = "LLaVACaptioner") -> StepSpec:
    text = [
        "meta_path: m",
        "steps:",
        "  - type: ImageCaptioner",
        f"    name: {name}",
        f"    config: {config}",
        *(f"    {line}" for line in lines),
    ]
    return parse_pipeline("\n".join(text), Path("x.yaml")).steps[0]


@pytest.mark.parametrize(
    ("lines", "config", "told"),
    [
        (
            ["resources: {gpus: 2}"],
            "{tensor_parallel_size: 4}",
            "x.yaml:5: steps[0].config.tensor_parallel_size: splits one copy of the model over 4 "
            "GPUs, and resources.gpus is 2",
        ),
        (
            ["resources: {gpus: 0}"],
            "{device: cuda}",
            "device: is 'cuda', and resources.gpus",
        ),
        (["replicas: auto"], "{}", "replicas: is 'auto': as many as resources.gpus, which is not"),
        (["replicas: auto", "resources: {gpus: 0}"], "{}", "resources.gpus, which is 0"),
        (
            ["replicas: auto", "resources: {gpus: 3}"],
            "{tensor_parallel_size: 2}",
            "replicas: use 2 GPUs each, of which 3 is no multiple",
        ),
        (["replicas: 3", "resources: {gpus: 8}"], "{}", "replicas: share 8 GPUs"),
        (
            ["replicas: 4", "resources: {gpus: 8}"],
            "{tensor_parallel_size: 4}",
            "tensor_parallel_size: is 4; each of 4 replicas has 2 of 8 GPUs",
        ),
        (
            ["replicas: 0"],
            "{}",
            "the number 0, expected a whole number, 1 to 1024 or 'auto'",
        ),
    ],
)
def test_gpus_that_do_not_suffice_or_go_round_are_told_with_their_line(
    lines: list[str], config: str, told: str
) -> None:
    with pytest.raises(PipelineError) as raised:
        step(*lines, config=config)
    assert told in str(raised.value)


@pytest.mark.parametrize(
    ("line", "replicas", "share"), [("gpus: 2", 1, 2), ("gpus: 8", 2, 4), ("gpus: 1", 1, 1)]
)
def test_a_model_that_is_split_by_default_is_held_to_its_gpus_too(
    line: str, replicas: int, share: int
) -> None:
    lines = [f"resources: {{{line}}}", f"replicas: {replicas}"]
    with pytest.raises(PipelineError) as raised:
        step(*lines, name="MLLamaCaptioner")
    assert str(raised.value) == (
        "x.yaml:6: steps[0].resources: MLLamaCaptioner is split over tensor_parallel_size: 8 GPUs "
        f"unless told otherwise, and each copy of the model has {share} GPUs; write how many in its"
        " config"
    )
    config = f"{{tensor_parallel_size: {share}}}"
    assert step(*lines, name="MLLamaCaptioner", config=config).copies == replicas


@pytest.mark.parametrize("lines", [[], ["resources: {gpus: 0}"], ["resources: {gpus: 8}"]])
def test_a_split_by_default_needs_no_word_where_it_fits_or_nothing_is_said(
    lines: list[str],
) -> None:
    assert step(*lines, name="MLLamaCaptioner").copies == 1


def test_auto_is_as_many_copies_as_the_gpus_have_room_for() -> None:
    resources = "resources: {gpus: 8}"
    assert step("replicas: auto", resources).copies == 8
    assert step("replicas: auto", resources, config="{tensor_parallel_size: 2}").copies == 4
    assert step("replicas: 2", resources, config="{tensor_parallel_size: 4}").copies == 2
    assert step("replicas: 6", "resources: {gpus: 0}").copies == 6
    assert step(config="{tensor_parallel_size: 2}").copies == 1


def test_copies_devices_and_variables_are_outside_a_rows_key() -> None:
    plain = step().config.key_settings()
    env = "resources: {gpus: 8, env: {LEVEL: '1'}}"
    assert step("replicas: auto", "stall_timeout_s: 60", env).config.key_settings() == plain
