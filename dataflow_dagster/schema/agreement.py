"""What the keys of a pipeline must keep to among each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from dataflow_dagster.models.declaration import Model
from dataflow_dagster.schema.errors import KeyPath
from dataflow_dagster.schema.pipeline import (
    RESERVED_ASSETS,
    PipelineKeys,
    reserved_asset,
)

Clash = tuple[KeyPath, str]
Keys = Mapping[str, Any]

MEDIA_KEYS = ("image_key", "text_key", "video_key")


def clashes(root: Keys, models: Sequence[type[Model] | None]) -> Iterator[Clash]:
    """Keys that contradict each other, from the values as they are written.

    Args:
        root: The whole document; anything may be wrong with it.
        models: What each entry of its ``steps`` names; None where that is unknown.
    """
    columns = {key: root.get(key) or PipelineKeys.model_fields[key].default for key in MEDIA_KEYS}
    steps = _steps(root)
    yield from _equal_columns(columns, root)
    yield from _shards(root)
    yield from _times(root)
    yield from _assets(steps)
    yield from _twice(steps, "output_key", "holds the answer")
    yield from _overwritten(steps, {**columns, "id_key": root.get("id_key")}, models)


def _shards(root: Keys) -> Iterator[Clash]:
    by_rows, by_files = (root.get(key) is not None for key in ("shards", "files_per_shard"))
    if by_rows and by_files:
        yield ("files_per_shard",), "and 'shards' exclude each other: shards of files, or of rows"
    if root.get("shards_per_run") is not None and not (by_rows or by_files):
        yield (
            ("shards_per_run",),
            "counts shards; give 'shards' or 'files_per_shard' too",
        )


def _times(root: Keys) -> Iterator[Clash]:
    on_cron = isinstance(root.get("automation"), dict)
    if root.get("timezone") is not None and root.get("schedule") is None and not on_cron:
        yield ("timezone",), "is that of 'schedule' and 'on_cron', and neither is given"


def _steps(root: Keys) -> list[Keys]:
    steps = root.get("steps")
    entries = cast("list[object]", steps) if isinstance(steps, list) else []
    return [cast("Keys", step) if isinstance(step, dict) else {} for step in entries]


def _equal_columns(columns: Keys, root: Keys) -> Iterator[Clash]:
    first: dict[str, str] = {}
    for key in sorted(columns, key=lambda name: root.get(name) is not None):  # defaults first
        column = columns[key]
        if isinstance(column, str) and (other := first.setdefault(column, key)) != key:
            yield (key,), f"is '{column}', as {other} is; each needs a column of its own"


def _assets(steps: Sequence[Keys]) -> Iterator[Clash]:
    for number, step in enumerate(steps):
        asset = step.get("asset")
        if isinstance(asset, str) and reserved_asset(asset):
            ours = ", ".join(sorted(RESERVED_ASSETS))
            yield ("steps", number, "asset"), f"'{asset}' is a name of ours ({ours}, source_…)"
    yield from _twice(steps, "asset", "is the asset")


def _twice(steps: Sequence[Keys], key: str, role: str) -> Iterator[Clash]:
    first: dict[str, int] = {}
    for number, step in enumerate(steps):
        value = step.get(key)
        if isinstance(value, str) and (other := first.setdefault(value, number)) != number:
            yield ("steps", number, key), f"'{value}' {role} of step {other + 1} already"


def _overwritten(
    steps: Sequence[Keys], columns: Keys, models: Sequence[type[Model] | None]
) -> Iterator[Clash]:
    for number, (step, model) in enumerate(zip(steps, models, strict=True)):
        own = f"{model.writes}_key" if model is not None else None
        for key, column in columns.items():
            if own is not None and key != own and column == step.get("output_key") is not None:
                message = f"'{column}' is the pipeline's {key}; the answer would overwrite it"
                yield ("steps", number, "output_key"), message
