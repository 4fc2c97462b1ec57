"""What the UI says of an asset before it is made: words, icons, where its YAML stands."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import SecretStr

from dataflow_dagster.factory.metadata import model_named
from dataflow_dagster.factory.tables import escaped, table
from dataflow_dagster.models.declaration import Model
from dataflow_dagster.schema.environment import LITERAL
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.stores.mirrors import address

MOST_KINDS = 3

_WORDS = {"text": "text", "image": "picture", "video": "video"}
_ENGINE_KINDS = {
    "vllm": ("vllm", "huggingface"),
    "transformers": ("pytorch", "huggingface"),
    "diffusers": ("diffusers", "huggingface"),
    "openai": ("openai",),
}
_PROVIDER_KINDS = {
    "anthropic": "claude",
    "deepseek": "deepseek",
    "google": "gemini",
    "mistral": "mistral",
}
_FORMAT_KINDS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
_ALWAYS_TOLD = (
    *("temperature", "top_p", "max_tokens"),
    *("height", "width", "num_inference_steps", "guidance_scale", "num_frames"),
)
_TOLD_APART = frozenset({"model_path", "model", "model_id", "function", "api_key"}) | LITERAL


def described(pipeline: PipelineSpec, asset: str) -> str:
    """An asset in words, as markdown."""
    place = ["rows", f"`{_rows_path(pipeline, asset)}`"]
    if asset == RAW_META:
        said = "The user's rows, each with an id, a name for its files, and its media found."
        return f"{said}\n\n{_pairs([['input', f'`{pipeline.meta_path}`'], place])}"
    if asset == RESULTS:
        said = "Rows under the user's own keys, pictures beside them, failed rows in a list."
        return f"{said}\n\n{_pairs([place])}"
    step = next(step for step in pipeline.steps if step.asset == asset)
    return _of_step(pipeline, step, place)


def kinds(pipeline: PipelineSpec, asset: str) -> set[str]:
    """At most three names, most of which Dagster has icons for."""
    rows = "parquet" if pipeline.format == "parquet" else "json"
    step = next((step for step in pipeline.steps if step.asset == asset), None)
    if step is not None:
        return {*_engine_kinds(step.config), rows}
    if asset == RAW_META:
        suffix = Path(pipeline.meta_path.removesuffix(".gz")).suffix.lower()
        return {"python", rows, _FORMAT_KINDS.get(suffix, rows)}
    return {"python", rows}


def code_reference(pipeline: PipelineSpec, line: int) -> dict[str, Any]:
    """Definition metadata: the line of the YAML that the asset comes from."""
    path = pipeline.path.absolute()
    found = dg.LocalFileCodeReference(
        file_path=str(path), line_number=line, label=f"{pipeline.path.name}:{line}"
    )
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[found])}


def _of_step(pipeline: PipelineSpec, step: StepSpec, place: list[str]) -> str:
    model = step.config
    told = (model.__doc__ or "").strip().split("\n")[0]
    reads, writes = _WORDS[model.reads], _WORDS[model.writes]
    source = (
        f"the newest {reads}" if step.input_key is None else f"the {reads} in `{step.input_key}`"
    )
    said = f"{step.type} **{step.name}**: {told}\n\nReads {source} of each row, writes a {writes}."
    rows = [["model", f"`{model_named(step) or step.name}`"]]
    rows += [[name, escaped(value)] for name, value in _prompts(model)]
    rows.append(["settings", _settings(model)])
    rows.append(place)
    if model.writes != "text":
        rows.append(
            [f"{writes}s", f"`{address(Layout(pipeline).step_folder(step) / step.asset)}/`"]
        )
    rows.append(["written in", f"`{pipeline.path}:{step.line}`"])
    return f"{said}\n\n{_pairs(rows)}"


def _pairs(rows: list[list[str]]) -> str:
    """A table of what is markdown already."""
    lines = [f"| {name} | {' '.join(value.splitlines())} |" for name, value in rows]
    return "\n".join([table(["", ""], []), *lines])


def _prompts(model: Model) -> list[tuple[str, str]]:
    told = (
        (name, getattr(model, name, None)) for name in ("sys_prompt", "prompt", "negative_prompt")
    )
    return [(name, value) for name, value in told if isinstance(value, str) and value]


def _settings(model: Model) -> str:
    """What the YAML says of the model, and what decides most where it says nothing."""
    names = [name for name in type(model).model_fields if name not in _TOLD_APART]
    told = [name for name in names if name in model.model_fields_set or name in _ALWAYS_TOLD]
    values = {name: getattr(model, name) for name in told}
    shown = [
        f"{name}: {value}"
        for name, value in values.items()
        if value is not None and not isinstance(value, (SecretStr, dict))  # which may hold one
    ]
    return escaped(" · ".join(shown)) or "the model's own"


def _engine_kinds(model: Model) -> tuple[str, ...]:
    engines: tuple[str, ...] = getattr(model, "engines", ())
    backend = str(getattr(model, "backend", "auto"))
    name = backend if backend in engines else next(iter(engines), "python")
    provider = str(model_provider(model))
    if name == "openai" and provider in _PROVIDER_KINDS:
        return (_PROVIDER_KINDS[provider],)
    return _ENGINE_KINDS.get(name, ("python",))


def model_provider(model: Model) -> str | None:
    """``anthropic`` of ``anthropic:name``; None where the name has none before it."""
    named = getattr(model, "model", None) or getattr(model, "model_id", None)
    before, colon, _ = str(named or "").partition(":")
    return before if colon else None


def _rows_path(pipeline: PipelineSpec, asset: str) -> str:
    stem = address(Layout(pipeline).stem(asset))
    return f"{stem}/*.{pipeline.format}" if pipeline.is_sharded else f"{stem}.{pipeline.format}"
