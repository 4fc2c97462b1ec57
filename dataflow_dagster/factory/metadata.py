"""What the UI shows of a materialized shard."""

from itertools import islice
from typing import Any

import dagster as dg

from dataflow_dagster.rows import PREFIX, Row
from dataflow_dagster.steps.manifest import Manifest
from dataflow_dagster.steps.shard import Shard

SAMPLE_ROWS = 8
_LONGEST_CELL = 120


def shard_metadata(shard: Shard, manifest: Manifest) -> dict[str, Any]:
    """Numbers, files and a few rows of one finished shard."""
    tally, engine = manifest.tally, manifest.engine
    shown: dict[str, Any] = {
        "dagster/row_count": tally.rows,
        "computed": tally.computed,
        "reused": tally.reused,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "failed_before": tally.passed,
        "seconds": round(tally.seconds, 3),
        "path": dg.MetadataValue.path(str(shard.path)),
        "rows": dg.MetadataValue.md(markdown_table(list(islice(shard.rows(), SAMPLE_ROWS)))),
    }
    if tally.seconds and tally.computed:
        shown["rows_per_second"] = round(tally.computed / tally.seconds, 3)
    if tally.tokens:
        shown["tokens"] = tally.tokens
    if engine:
        if "batch_size" in engine:
            shown["batch_size"] = engine["batch_size"]
        shown["engine"] = "{name} {version}, {precision}, {device}".format_map(engine)
    if tally.kinds:
        shown["errors"] = dg.MetadataValue.md(_kinds_table(tally.kinds))
    return shown


def markdown_table(rows: list[Row]) -> str:
    """Rows as a markdown table of their plain columns, long values cut."""
    columns = list(dict.fromkeys(column for row in rows for column in row if _is_shown(column)))
    if not columns:
        return "no rows"
    lines = [_line([_cell(column) for column in columns]), _line(["---"] * len(columns))]
    lines += [_line([_cell(row.get(column)) for column in columns]) for row in rows]
    return "\n".join(lines)


def _is_shown(column: str) -> bool:
    return not column.startswith(PREFIX) or column in (PREFIX + "text", PREFIX + "image")


def _kinds_table(kinds: dict[str, int]) -> str:
    lines = [_line(["kind", "rows"]), _line(["---", "---"])]
    return "\n".join(lines + [_line([kind, str(count)]) for kind, count in sorted(kinds.items())])


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    text = text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")
