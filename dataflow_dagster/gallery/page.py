"""One shard's rows as a page: no server, no network, nothing but files beside it.

The page holds the first rows and the first failed ones; all further failed rows lie in scripts
beside it, a thousand each, which it loads when they are asked for. Memory stays flat.
"""

import shutil
from collections.abc import Iterator
from html import escape
from itertools import islice
from pathlib import Path

from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.gallery.cards import Card, Cards
from dataflow_dagster.gallery.posters import Posters
from dataflow_dagster.gallery.writing import filled, put_page, template, write_whole
from dataflow_dagster.ledger.manifest import Manifest
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import ERROR, ID, Row, RowError, encode, fingerprint
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.stores import mirrors

FIRST_ROWS = 500
FAILED_IN_PAGE = 500
FAILED_IN_CHUNK = 1000

_TEMPLATES = ("page.html", "page.css", "page.js", "theme.js")
_WEIGHTS = ("model_path", "model", "model_id", "function")


def page_path(pipeline: PipelineSpec, key: str | None) -> Path:
    """``<save_folder>/gallery.html``; of a shard: ``<save_folder>/gallery/<key>.html``."""
    folder = Layout(pipeline).save_folder
    return folder / "gallery.html" if key is None else folder / "gallery" / f"{key}.html"


def write_page(pipeline: PipelineSpec, source: Shard, manifest: Manifest) -> Path:
    """Write the page of one shard of results, unless it stands there as it would be written.

    Args:
        pipeline: With its environment resolved.
        source: The rows that the results were made of.
        manifest: Of the finished results.
    """
    path = page_path(pipeline, source.key)
    mirrors.bring(path)
    texts = {name: template(name) for name in _TEMPLATES}
    steps = list(_steps(pipeline))
    version = fingerprint([manifest.source, manifest.data_version, list(texts.values()), steps])
    if not _stands(path, version):
        _Page(pipeline, source, path, manifest).write(version, texts, steps)
    return path


def _stands(path: Path, version: str) -> bool:
    try:
        with path.open("rb") as file:
            return version.encode() in file.read(200)
    except OSError:
        return False


class _Page:
    def __init__(
        self, pipeline: PipelineSpec, source: Shard, path: Path, manifest: Manifest
    ) -> None:
        self._pipeline = pipeline
        self._source = source
        self._path = path
        self._tally = manifest.tally
        self._posters = Posters(path)
        self._cards = Cards(pipeline, path.parent, self._posters)
        self._chunks = path.with_name(f"{path.stem}_failed")

    def write(self, version: str, texts: dict[str, str], steps: list[list[str]]) -> None:
        first = list(islice(self._source.rows(), FIRST_ROWS))
        further = self._further_failed({str(row[ID]): row for row in first})
        failed = list(islice(further, FAILED_IN_PAGE))
        chunks = self._write_chunks(map(Cards(self._pipeline, self._path.parent).card, further))
        with self._posters:
            rows = [self._cards.card(row) for row in [*first, *failed]]
        data = encode({"rows": rows, "chunks": chunks}).decode("utf-8")
        values = {
            "title": escape(self._title()),
            "css": texts["page.css"],
            "heading": self._heading(),
            "counts": self._counts(len(first)),
            "summary": f"Models, prompts and settings of {len(steps)} step(s)",
            "steps": _definitions(steps),
            "data": data.replace("<", "\\u003c"),  # no row can end the script it stands in
            "js": texts["page.js"] + texts["theme.js"].removeprefix('"use strict";\n'),
        }
        page = filled(texts["page.html"], values)
        head, rest = page.split("\n", 1)
        write_whole(self._path, f"{head}\n<!-- {version} -->\n{rest}")
        self._posters.sweep()
        put_page(self._path, self._chunks)

    def _further_failed(self, first: dict[str, Row]) -> Iterator[Row]:
        """Failed rows beyond the first; those among the first get their error on the way."""
        errors = Layout(self._pipeline).errors(self._source.key)
        mirrors.bring(errors)
        if not errors.exists():
            return
        for block in Jsonl().read(errors):
            for line in block.rows:
                if isinstance(line, RowError):
                    continue
                error = {name: line[name] for name in ("step", "kind", "message")}
                known = first.get(str(line["id"]))
                if known is not None:
                    known[ERROR] = error
                else:
                    yield {**line["row"], ERROR: error}

    def _write_chunks(self, cards: Iterator[Card]) -> list[str]:
        """Scripts of further failed rows, in a folder that is exchanged as a whole."""
        part = self._chunks.with_name(self._chunks.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        names: list[str] = []
        while chunk := list(islice(cards, FAILED_IN_CHUNK)):
            part.mkdir(parents=True, exist_ok=True)
            name = f"{len(names) + 1:05d}.js"
            (part / name).write_bytes(b"dataflowRows(" + encode(chunk) + b");\n")
            names.append(f"{self._chunks.name}/{name}")
        shutil.rmtree(self._chunks, ignore_errors=True)
        if names:
            part.replace(self._chunks)
        return names

    def _title(self) -> str:
        key = self._source.key
        return self._pipeline.name if key is None else f"{self._pipeline.name} {key}"

    def _heading(self) -> str:
        key = self._source.key
        if key is None:
            return escape(self._pipeline.name)
        return f'<a href="../gallery.html">{escape(self._pipeline.name)}</a> {escape(key)}'

    def _counts(self, first: int) -> str:
        rows, failed = self._tally.rows, self._tally.passed + self._tally.failed
        said = f"{rows:,} rows"
        if failed:
            said += f', <span class="failed">{failed:,} failed</span>'
        return said if first >= rows else f"{said}; here the first {first:,} and all failed ones"


def _steps(pipeline: PipelineSpec) -> Iterator[list[str]]:
    """Asset, model, prompt and settings of each step, in words."""
    for step in pipeline.steps:
        named = (getattr(step.config, name, None) for name in _WEIGHTS)
        model = next((str(name) for name in named if name), step.name)
        prompts = (getattr(step.config, name, None) for name in ("sys_prompt", "prompt"))
        prompt = "\n".join(text for text in prompts if isinstance(text, str) and text)
        yield [step.asset, f"{step.name} · {model}", prompt, _settings(step)]


def _settings(step: StepSpec) -> str:
    told = step.config.model_dump(mode="json", include=step.config.model_fields_set)
    plain = [
        f"{name} {value}"
        for name, value in told.items()
        if isinstance(value, (int, float)) and name != "seed"
    ]
    base = "the pipeline's seed" if step.config.seed is None else f"seed {step.config.seed}"
    return " · ".join([base, *plain])


def _definitions(steps: list[list[str]]) -> str:
    pairs = [
        f"<dt>{escape(asset)}</dt><dd>{escape(model)}"
        + (f"\n{escape(prompt)}" if prompt else "")
        + f"\n{escape(settings)}</dd>"
        for asset, model, prompt, settings in steps
    ]
    return f"<dl>{''.join(pairs)}</dl>"
