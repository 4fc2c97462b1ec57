"""What holds for every named model; each is a row of `models_table`."""

import pytest

from dataflow_dagster import registry
from dataflow_dagster.models.declaration import Model
from dataflow_dagster_tests.models.models_table import MODELS, ModelRow
from dataflow_dagster_tests.models.served_table import SERVED_MODELS
from dataflow_dagster_tests.models.video_table import VIDEO_MODELS

ALL_MODELS = [*MODELS, *SERVED_MODELS, *VIDEO_MODELS]

every_model = pytest.mark.parametrize("row", ALL_MODELS, ids=lambda row: row.name)


def declared(row: ModelRow) -> type[Model]:
    return registry.find(row.step_type, row.name)


@every_model
def test_its_defaults_are_those_of_the_table(row: ModelRow) -> None:
    fields = declared(row).model_fields
    defaults = {
        name: None if field.is_required() else field.default for name, field in fields.items()
    }
    of_weights = {"model_path": row.model_path, "revision": None}
    weights = of_weights if "model_path" in fields else {}
    assert defaults == {**weights, **row.defaults}


def test_what_has_no_default_must_be_given() -> None:
    required = {
        row.name: [key for key, field in declared(row).model_fields.items() if field.is_required()]
        for row in ALL_MODELS
    }
    assert {name: keys for name, keys in required.items() if keys} == {
        "VLMCaptioner": ["model_path"],
        "DiffusersGenerator": ["model_path"],
        "DiffusersVideoGenerator": ["model_path"],
        "DiffusersI2VGenerator": ["model_path"],
        "PythonFunction": ["function"],
    }


@every_model
def test_it_reads_and_writes_what_the_table_says(row: ModelRow) -> None:
    model = declared(row)
    assert (model.reads, model.writes, model.asset) == (row.reads, row.writes, row.asset)


@every_model
def test_its_engines_are_those_of_the_table(row: ModelRow) -> None:
    assert getattr(declared(row), "engines", None) == row.engines


@every_model
def test_its_template_is_that_of_the_table_byte_for_byte(row: ModelRow) -> None:
    assert getattr(declared(row), "prompt_template", None) == row.template


@every_model
def test_every_key_tells_what_it_means(row: ModelRow) -> None:
    fields = declared(row).model_fields
    assert not [name for name, field in fields.items() if not field.description]


@every_model
def test_an_unknown_key_is_refused(row: ModelRow) -> None:
    with pytest.raises(ValueError, match="weigth"):
        declared(row).model_validate({"weigth": 1})


@every_model
def test_its_docstring_names_its_source(row: ModelRow) -> None:
    assert "https://" in str(declared(row).__doc__)


def test_the_table_has_every_registered_model_and_no_other() -> None:
    registered = {
        (kind, name)
        for kind, named in registry.models().items()
        for name, model in named.items()
        if model.__module__.startswith("dataflow_dagster.")
    }
    assert registered == {(row.step_type, row.name) for row in ALL_MODELS}
