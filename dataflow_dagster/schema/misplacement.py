"""Where a key that stands on the wrong level of the YAML belongs."""

from collections.abc import Sequence
from typing import cast

from dataflow_dagster.models.declaration import Model
from dataflow_dagster.schema.errors import KeyPath
from dataflow_dagster.schema.pipeline import PipelineKeys, StepKeys


def misplaced(at: KeyPath, models: Sequence[type[Model] | None]) -> str | None:
    """Where the unknown key `at` belongs, if it stands on the wrong level.

    Args:
        at: Its place in the pipeline.
        models: The class each step names; None where that is unknown.
    """
    key = str(at[-1])
    match at:
        case _ if key.startswith("-"):
            return without_space([key])
        case (_,) if key in StepKeys.model_fields:
            return "is a key of a step; indent it below '- type:'"
        case (_,) if any(_has(model, key) for model in models):
            return "is a key of a step's model; indent it below 'config:'"
        case ("steps", int(step), _) if _has(models[step], key):
            return "is a key of the model; indent it below 'config:'"
        case ("steps", int(), _) if key in PipelineKeys.model_fields:
            return "is a key of the whole pipeline; put it at the left margin"
        case _:
            return None


def misplaced_in_config(key: str) -> str | None:
    """Where the unknown key of a ``config`` belongs, if it is one of the step's own."""
    if key not in StepKeys.model_fields:
        return None
    return "is a key of the step; put it beside 'config:', not below"


def without_space(keys: object) -> str | None:
    """What to say where a mapping's keys begin with a dash: a list was meant."""
    entries = cast("list[str]", list(keys)) if isinstance(keys, (dict, list)) else []
    dashed = next((key for key in entries if str(key).startswith("-")), None)
    return f"a space is missing after the dash: '- {dashed[1:]}:'" if dashed else None


def _has(model: type[Model] | None, key: str) -> bool:
    return model is not None and (key in model.model_fields or key in model.old_keys)
