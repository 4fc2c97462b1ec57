import pytest

from dataflow_dagster.models.flux import FLUXGenerator
from dataflow_dagster.schema.errors import KeyPath
from dataflow_dagster.schema.misplacement import misplaced, misplaced_in_config, without_space


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (("-type",), "a space is missing after the dash: '- type:'"),
        (("config",), "is a key of a step; indent it below '- type:'"),
        (("height",), "is a key of a step's model; indent it below 'config:'"),
        (("steps", 1, "height"), "is a key of the model; indent it below 'config:'"),
        (("steps", 1, "weight"), "is a key of the model; indent it below 'config:'"),
        (("steps", 1, "save_folder"), "is a key of the whole pipeline; put it at the left margin"),
        (("steps", 0, "height"), None),
        (("steps", 1, "heigth"), None),
        (("nothing",), None),
        (("steps", 1, "resources", "height"), None),
    ],
)
def test_a_key_on_the_wrong_level_is_told_where_it_belongs(at: KeyPath, words: str | None) -> None:
    assert misplaced(at, [None, FLUXGenerator]) == words


def test_a_step_s_key_in_its_config_is_told_where_it_belongs() -> None:
    assert misplaced_in_config("output_key") == (
        "is a key of the step; put it beside 'config:', not below"
    )
    assert misplaced_in_config("temprature") is None


def test_a_list_without_spaces_after_its_dashes_is_recognised() -> None:
    assert without_space({"-type": "A", "name": "B"}) == (
        "a space is missing after the dash: '- type:'"
    )
    assert without_space({"type": "A"}) is None
    assert without_space("text") is None
