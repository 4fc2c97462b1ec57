"""A pipeline's YAML file → its `PipelineSpec`, or all that is wrong with it."""

import codecs
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from dataflow_dagster.models.declaration import Model
from dataflow_dagster.schema.agreement import clashes
from dataflow_dagster.schema.document import Document, read_document
from dataflow_dagster.schema.environment import HOLDER, malformed, references
from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.findings import Findings
from dataflow_dagster.schema.foreign import foreign_signs
from dataflow_dagster.schema.misplacement import misplaced, without_space
from dataflow_dagster.schema.pipeline import (
    PipelineKeys,
    PipelineOptions,
    PipelineSpec,
    StepKeys,
    name_of,
)
from dataflow_dagster.schema.steps import Configured, configured, step_specs
from dataflow_dagster.schema.syntax import lines_of, told
from dataflow_dagster.schema.wording import described, faults

LARGEST: Final = 1 << 20
"""Bytes of a pipeline file. A larger one is somebody's metadata, given for a pipeline."""

_EXAMPLE = "a pipeline begins with 'meta_path:' and 'steps:'"


def load_pipeline(path: Path) -> PipelineSpec:
    """Read and check a pipeline file.

    Raises:
        PipelineError: The file cannot be read, is no YAML, or says what no pipeline may say.
    """
    return parse_pipeline(_text(path), path)


def parse_pipeline(text: str, path: Path) -> PipelineSpec:
    """Read and check a pipeline's YAML text; `path` names it and gives the default name.

    Raises:
        PipelineError: All that is wrong with the text.
    """
    try:
        return _parsed(read_document(text, path))
    except PipelineError as error:
        signs = _foreign(error, lines_of(text))
        raise PipelineError(path, signs) if signs else error from None


def _foreign(error: PipelineError, lines: list[str]) -> list[Problem]:
    """The foreign signs that problems come of: of the same line, or of the one below."""
    wrong = {problem.line for problem in error.problems}
    found = [sign for sign in foreign_signs(lines) if wrong & {sign.line, sign.line + 1}]
    return [told(sign, lines) for sign in found]


def _parsed(document: Document) -> PipelineSpec:
    path = document.path
    root = _root(document)
    findings = Findings(document, list(document.problems))
    used = references(document)
    findings.problems += malformed(used)
    steps = root.get("steps")
    entries = cast("list[Any]", steps) if isinstance(steps, list) else []
    named = [configured(step, ("steps", n), findings) for n, step in enumerate(entries)]
    models = [one and one.model for one in named]
    keys = _checked(root, models, findings)
    for at, message in clashes(root, models):
        findings.refuse(at, message)
    spec = _spec(keys, named, findings) if keys is not None else None
    if spec is None or findings.problems:
        raise PipelineError(path, findings.problems)
    return spec.model_copy(update={"references": tuple(used)})


def problem_in(path: Path, key: str, message: str) -> Problem:
    """A problem with a key of a file that was loaded, at its line; with the file, if it says none.

    Raises:
        PipelineError: The file has changed meanwhile, and cannot be read any more.
    """
    document = read_document(_text(path), path)
    if (key,) in document.places:
        return document.problem((key,), message)
    return Problem(None, None, key, message)


def _spec(
    keys: PipelineKeys, named: Sequence[Configured | None], findings: Findings
) -> PipelineSpec | None:
    configs = [one.config for one in named if one is not None and one.config is not None]
    if len(configs) < len(named):
        return None
    options = {name: getattr(keys, name) for name in PipelineOptions.model_fields}
    options["steps"] = step_specs(keys.steps, configs, keys.resources, findings)
    options["path"] = findings.document.path
    options["warnings"] = tuple(findings.warnings)
    return PipelineSpec.model_validate(options)


def _checked(
    root: Mapping[str, Any], models: Sequence[type[Model] | None], findings: Findings
) -> PipelineKeys | None:
    values = _said(root, findings.document.path)
    try:
        return PipelineKeys.model_validate(values)
    except ValidationError as error:
        for fault in faults(error, PipelineKeys, values):
            hint = misplaced(fault.at, models) if fault.unknown_key else None
            if fault.at == ("steps",):
                hint = without_space(root.get("steps"))
            findings.refuse(fault.at, hint or fault.message)
        return None


def _said(root: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values under a default name; an optional key that was left empty is not said."""
    own = {key: value for key, value in root.items() if not key.startswith(HOLDER)}
    values = _without_empty({"name": name_of(path), **own}, PipelineKeys)
    if isinstance(values.get("steps"), list):
        values["steps"] = [
            _without_empty(step, StepKeys) if isinstance(step, dict) else step
            for step in values["steps"]
        ]
    return values


def _without_empty(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    optional = {name for name, field in model.model_fields.items() if not field.is_required()}
    return {key: value for key, value in values.items() if value is not None or key not in optional}


def _root(document: Document) -> dict[str, Any]:
    if isinstance(document.root, dict):
        return cast("dict[str, Any]", document.root)
    given = "is empty" if document.root is None else described(document.root)
    message = f"the file {given}; {_EXAMPLE}"
    raise PipelineError(document.path, [*document.problems, document.problem((), message)])


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _unreadable(path, "there is no such file") from None
    except IsADirectoryError:
        raise _unreadable(path, "is a folder, expected a YAML file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise _unreadable(path, f"cannot be read: {error}") from None
    if len(content) > LARGEST:
        message = f"is larger than {LARGEST >> 20} MiB: is it metadata? {_EXAMPLE}"
        raise _unreadable(path, message)
    return _decoded(content, path)


def _decoded(content: bytes, path: Path) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _unreadable(path, "is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise PipelineError(path, [Problem(line, None, "", message)]) from None


def _unreadable(path: Path, message: str) -> PipelineError:
    return PipelineError(path, [Problem(None, None, "", message)])
