"""A row as its card in the gallery: media and texts in the order they were made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataflow_dagster.gallery.links import is_web_address, link
from dataflow_dagster.gallery.posters import Posters
from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import is_url
from dataflow_dagster.rows import ERROR, ID, Row, RowError, answer_column, seed
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.layout import Layout, meta_folder

MOST_CHARACTERS = 4000
"""Of one text; a page of 500 rows stays below some megabytes."""

Card = dict[str, Any]
"""id · media: [{kind, label, name, at, poster?}] · texts: [{label, text}] · seeds: [{step, seed}] ·
error: {step, kind, message} or None. ``at`` is relative to the page."""


class Cards:
    """Makes cards of the rows that ``results`` reads.

    Args:
        pipeline: With its environment resolved.
        folder: Where the page lies, which addresses are relative to.
        posters: Where clips get a poster; None: they get none.
    """

    def __init__(
        self, pipeline: PipelineSpec, folder: Path, posters: Posters | None = None
    ) -> None:
        self._pipeline = pipeline
        self._folder = folder
        self._posters = posters
        self._meta_folder = meta_folder(pipeline)
        self._save_folder = Layout(pipeline).save_folder
        self._hosts = Hosts(pipeline.allowed_hosts)

    def card(self, row: Row) -> Card:
        """One row's card."""
        media = [*self._source_media(row), *self._made_media(row)]
        return {
            "id": str(row.get(ID)),
            "media": media,
            "texts": list(self._texts(row)),
            "seeds": list(self._seeds(row)),
            "error": _error(row),
        }

    def _source_media(self, row: Row) -> Iterator[Card]:
        columns = (("image", self._pipeline.image_key), ("video", self._pipeline.video_key))
        for kind, column in columns:
            value = row.get(column)
            if is_web_address(value):
                yield {"kind": kind, "label": column, "name": value, "at": value}
                continue
            try:
                path = resolve_medium(value, self._meta_folder, self._hosts)
            except RowError:
                continue  # the row carries this error, and says so
            if path is not None and not is_url(path):  # a browser reads no s3://
                yield self._medium(kind, column, Path(path))

    def _made_media(self, row: Row) -> Iterator[Card]:
        for step, answer in self._answers(row):
            kind = step.config.writes
            value = answer.get(kind)
            if kind == "text" or not isinstance(value, str):
                continue
            yield self._medium(kind, step.asset, self._save_folder / value)

    def _medium(self, kind: str, label: str, path: Path) -> Card:
        at = {"at": link(path, self._folder)}
        if kind == "video" and self._posters is not None:
            poster = self._posters.poster(path)
            at |= {} if poster is None else {"poster": link(poster, self._folder)}
        return {"kind": kind, "label": label, "name": path.name, **at}

    def _texts(self, row: Row) -> Iterator[Card]:
        source = row.get(self._pipeline.text_key)
        if isinstance(source, str) and source:
            yield {"label": self._pipeline.text_key, "text": _cut(source)}
        for step, answer in self._answers(row):
            if isinstance(text := answer.get("text"), str):
                yield {"label": step.asset, "text": _cut(text)}

    def _seeds(self, row: Row) -> Iterator[Card]:
        """Each answered step's seed of this row, as text: a script's numbers have but 53 bits."""
        read = self._ids(row)
        for step, _ in self._answers(row):
            of, repeat = read[step.position - 1]
            base = self._pipeline.seed if step.config.seed is None else step.config.seed
            yield {"step": step.asset, "seed": str(seed(base, step.identity, of, repeat))}

    def _ids(self, row: Row) -> list[tuple[str, int]]:
        """What each step read the row under, and which of its answers this is."""
        found: list[tuple[str, int]] = []
        row_id = str(row.get(ID))
        for step in reversed(self._pipeline.steps):
            repeat = "0"
            if step.config.repeat_time > 1:
                row_id, _, repeat = row_id.rpartition("#")
            found.append((row_id, int(repeat) if repeat.isdigit() else 0))
        return found[::-1]

    def _answers(self, row: Row) -> Iterator[tuple[StepSpec, dict[str, Any]]]:
        for step in self._pipeline.steps:
            answer = row.get(answer_column(step.asset))
            if answer is not None:
                yield step, answer


def _error(row: Row) -> dict[str, str] | None:
    error = row.get(ERROR)
    if error is None:
        return None
    return {name: str(error.get(name))[:MOST_CHARACTERS] for name in ("step", "kind", "message")}


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
