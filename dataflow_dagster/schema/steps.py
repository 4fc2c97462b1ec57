"""From the steps as they are written to steps whose models are found and whose keys are checked."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from pydantic import ValidationError

from dataflow_dagster import registry
from dataflow_dagster.models.declaration import Model
from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.devices import check_devices
from dataflow_dagster.schema.errors import KeyPath
from dataflow_dagster.schema.findings import Findings
from dataflow_dagster.schema.misplacement import misplaced_in_config
from dataflow_dagster.schema.pipeline import (
    Resources,
    StepKeys,
    StepOptions,
    StepSpec,
)
from dataflow_dagster.schema.spelling import unknown
from dataflow_dagster.schema.wording import faults

Keys = Mapping[str, Any]

_MODELS: Final = "python -m dataflow_dagster models"
"""The command that lists all models, or the keys of one."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A step's model class and, where its ``config`` is right, the model."""

    model: type[Model]
    config: Model | None


def configured(step: object, at: KeyPath, findings: Findings) -> Configured | None:
    """The model a step names, with its ``config`` checked; None where there is no such model."""
    if not isinstance(step, dict):
        return None  # the check of the step's own keys tells
    keys = cast("Keys", step)
    model = _model(keys, at, findings)
    config = keys.get("config")
    if model is None:
        return None
    if config is not None and not isinstance(config, dict):
        return Configured(model, None)
    values, field = dict(config or {}), _field_of_name(model, str(keys["name"]))
    if field is not None:
        if field in values:
            findings.refuse((*at, "config", field), "is given by the step's 'name' already")
        values[field] = keys["name"]
    return Configured(model, _config(model, values, at, findings, field))


def step_specs(
    written: Sequence[StepKeys],
    models: Sequence[Model],
    default: Resources,
    findings: Findings,
) -> tuple[StepSpec, ...]:
    """The steps, each with its place, its asset's name and its share of the pipeline's defaults."""
    assets = _assets(written, models)
    seen: Counter[str] = Counter()
    specs: list[StepSpec] = []
    for number, (keys, model, asset) in enumerate(zip(written, models, assets, strict=True)):
        alike = _told_apart_by(keys.type, model)
        seen[alike] += 1
        options = {name: getattr(keys, name) for name in StepOptions.model_fields}
        options |= {
            "position": number + 1,
            "line": findings.document.place(("steps", number)).line,
            "occurrence": seen[alike],
            "asset": asset,
            "config": model,
            "resources": keys.resources.merged_over(default),
        }
        specs.append(StepSpec.model_validate(options))
        _check_input(specs, findings)
        check_devices(specs[-1], findings)
    return tuple(specs)


def _told_apart_by(step_type: str, model: Model) -> str:
    """Equal for steps whose seeds must differ, since nothing else would tell their answers apart.

    Steps with other settings need no number, so that none has another when one comes before it.
    What the YAML says counts: variables are not resolved yet, and weights are not looked at.
    """
    outside = {*model.outside_key - model.stands_for, "repeat_time"}
    decides = model.model_dump(mode="json", exclude=outside)
    return fingerprint([step_type, type(model).__name__, decides])


def _check_input(specs: Sequence[StepSpec], findings: Findings) -> None:
    """Refuse the last step's ``input_key`` where it names an earlier answer of another medium."""
    *earlier, step = specs
    for other in reversed(earlier):
        if step.input_key is None or step.input_key not in (other.asset, other.output_key):
            continue
        if other.config.writes != step.config.reads:
            message = (
                f"'{step.input_key}' is the {other.config.writes} of step {other.position};"
                f" {step.name} reads {step.config.reads}"
            )
            findings.refuse(("steps", step.position - 1, "input_key"), message)
        return


def _model(keys: Keys, at: KeyPath, findings: Findings) -> type[Model] | None:
    step_type, name = keys.get("type"), keys.get("name")
    if not isinstance(step_type, str):
        return None
    try:
        known = registry.models()
        if step_type not in known:
            raise registry.UnknownNameError("step type", step_type, list(known))
        if isinstance(name, str) and (model := _named_by(known[step_type], name)) is not None:
            return model
        return registry.find(step_type, name) if isinstance(name, str) else None
    except registry.UnknownNameError as error:
        wrong = "name" if step_type in registry.models() else "type"
        findings.refuse((*at, wrong), _unknown_name(error, name))
        return None


def _named_by(models: Mapping[str, type[Model]], name: str) -> type[Model] | None:
    """The model of which `name` gives a field; None where it is a model's own name."""
    if ":" not in name or name in models:
        return None
    return next((model for model in models.values() if model.named_by is not None), None)


def _field_of_name(model: type[Model], name: str) -> str | None:
    """The field of ``config`` that the step's ``name`` gives."""
    return model.named_by if ":" in name else None


def _unknown_name(error: registry.UnknownNameError, name: object) -> str:
    message = unknown(f"{error.what} '{error.given}'", error.given, error.allowed)
    message = ". ".join([message, *registry.broken_packages()])
    fields = [model.named_by for model in registry.models().get(error.what, {}).values()]
    if field := next(filter(None, fields), None):
        message += f", or module:name of a {field}, such as my_package.cleaning:clean_text"
    homes = [kind for kind in registry.models() if isinstance(name, str) and _is_known(kind, name)]
    if not homes:
        return message
    return f"{message}. '{name}' is a model of type {' and of type '.join(homes)}"


def _is_known(step_type: str, name: str) -> bool:
    try:
        registry.find(step_type, name)
    except registry.UnknownNameError:
        return False
    return True


def _config(
    model: type[Model], config: Keys, step: KeyPath, findings: Findings, by_name: str | None
) -> Model | None:
    at = (*step, "config")
    values, spelled = _new_spelling(model, _without_empty(model, config), at, findings)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for fault in faults(error, model, values, see=f"{_MODELS} {model.__name__}"):
            first, *rest = fault.at or ("",)
            where = (*at, spelled.get(str(first), first), *rest) if fault.at else at
            where = (*step, "name") if first == by_name else where
            hint = misplaced_in_config(str(first)) if fault.unknown_key and not rest else None
            findings.refuse(where, hint or fault.message)
        return None


def _without_empty(model: type[Model], config: Keys) -> Keys:
    """`config` without keys that were left empty, where no value is no value of the key itself."""
    fields = {key: model.model_fields.get(model.old_keys.get(key, key)) for key in config}
    empty = {
        key
        for key, field in fields.items()
        if config[key] is None
        and field is not None
        and not field.is_required()
        and type(None) not in get_args(field.annotation)
    }
    return {key: value for key, value in config.items() if key not in empty}


def _new_spelling(
    model: type[Model], config: Keys, at: KeyPath, findings: Findings
) -> tuple[dict[str, Any], dict[str, str]]:
    """`config` under today's keys, and of each key that was renamed: today's → the one written."""
    values = dict(config)
    spelled: dict[str, str] = {}
    for old, new in model.old_keys.items():
        if old not in config:
            continue
        value = values.pop(old)
        if new in values:
            findings.refuse((*at, old), f"is the old spelling of '{new}', which is given too")
            continue
        values[new] = value
        spelled[new] = old
        findings.warn((*at, old), f"is an old spelling; write '{new}'")
    return values, spelled


def _assets(written: Sequence[StepKeys], models: Sequence[Model]) -> list[str]:
    """Each step's asset: as it is written, else its model's, numbered where that is taken."""
    taken = {keys.asset for keys in written}
    names: list[str] = []
    for keys, model in zip(written, models, strict=True):
        name = keys.asset or _free(type(model).asset, taken)
        taken.add(name)
        names.append(name)
    return names


def _free(name: str, taken: Set[str | None]) -> str:
    if name not in taken:
        return name
    count = 2
    while f"{name}_{count}" in taken:
        count += 1
    return f"{name}_{count}"
