"""What a model step reads of each row: its text or medium, its seed, its key."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.rows import (
    ERROR,
    ID,
    KEY,
    REPEAT,
    Medium,
    Row,
    RowError,
    answer_column,
    current,
    fingerprint,
    key,
    key_state,
    repeat_id,
    seed,
)
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.layout import Layout, meta_folder
from dataflow_dagster.steps.overlap import Written
from dataflow_dagster.steps.stamps import Stamps
from dataflow_dagster.steps.whole_rows import WholeRows
from dataflow_dagster.stores.mirrors import address

_LOOK_ROWS = 256
_DRAWN = "\0drawn"
"""In a key in place of the path of a medium drawn by an earlier step; no path has it."""


class Work(NamedTuple):
    """One output row before it is answered.

    Attributes:
        number: Its place in the shard written.
        row: The row read itself, without a key; where answers repeat, a copy with its own id.
        of: The id of the row read.
        repeat: Which of several answers to that row.
        value: The text, or the medium's path, that the model gets; None: the row has no such
            medium, or `error` tells why not.
        digest: The key that its answer will have, 16 bytes; empty: it gets none.
        error: Why the row's input cannot be used.
        mark: `line_mark` of the line read, where that decides the answer; else empty.
    """

    number: int
    row: Row
    of: str = ""
    repeat: int = 0
    value: str | None = None
    digest: bytes = b""
    error: RowError | None = None
    mark: bytes = b""


class InputReader:
    """Makes work of rows, for one step.

    Args:
        pipeline: Gives the seed and where pictures named by the user's columns are.
        step: Its ``reads``, ``input_key`` and ``repeat_time`` decide what is made.
        step_fingerprint: Begins every row's key.
        stamps: Tell media apart.
    """

    def __init__(
        self, pipeline: PipelineSpec, step: StepSpec, step_fingerprint: str, stamps: Stamps
    ) -> None:
        self._step = step
        self._reads: Medium = step.config.reads
        self._reads_too: Medium | None = step.config.reads_too
        self._columns = step.config.columns()
        self._whole = WholeRows(pipeline) if step.config.takes_row() else None
        self._is_text_alone = self._reads == "text" and not (self._reads_too or self._columns)
        self._newest = current(step.config.reads)
        self._repeats = step.config.repeat_time
        self._identity = step.identity
        self._meta_folder = meta_folder(pipeline)
        self._hosts = Hosts(pipeline.allowed_hosts)
        self._stamps = stamps
        self._hash_media = pipeline.hash_media
        self._seed = pipeline.seed if step.config.seed is None else step.config.seed
        self._state = key_state(step_fingerprint, self._seed, step.identity)
        self._folders = Layout(pipeline)
        self._written = Written(pipeline)
        self._earlier = {
            name: earlier
            for earlier in pipeline.steps[: step.position - 1]
            for name in (earlier.asset, earlier.output_key)
            if name is not None
        }
        self._drawn = self._columns_of_drawn(pipeline)

    def _columns_of_drawn(self, pipeline: PipelineSpec) -> list[str]:
        """Answers among which is the medium this step reads, the newest first."""
        input_key = self._step.input_key
        if input_key is not None:
            earlier = [self._earlier[input_key]] if input_key in self._earlier else []
        else:
            earlier = pipeline.steps[: self._step.position - 1][::-1]
        return [answer_column(one.asset) for one in earlier if one.config.writes == self._reads]

    def settings(self) -> dict[str, Any]:
        """What decides, beside a row and the model, which output rows there are and their keys."""
        earlier = self._earlier.get(self._step.input_key or "")
        return {
            "asset": self._step.asset,
            "input": [self._step.input_key, None if earlier is None else earlier.asset],
            "meta_folder": str(self._meta_folder),
            "repeat_time": self._repeats,
            **({"hash_media": True} if self._hash_media else {}),
            "seed": [self._seed, self._identity],
        }

    @property
    def decided_by_lines(self) -> bool:
        """Whether a line read, and nothing else on the disk, decides one key: that of its row."""
        return self._reads == "text" and self._repeats == 1 and self._whole is None

    def looked_up(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The same rows, of which those that come next have their media asked for together."""
        if self._reads == "text" and self._whole is None:
            return rows
        return self._looked_up(rows)

    def _looked_up(self, rows: Iterator[Row]) -> Iterator[Row]:
        while group := list(islice(rows, _LOOK_ROWS)):
            self._stamps.look(chain.from_iterable(map(self._given_media, group)))
            yield from group

    def _given_media(self, row: Row) -> Iterable[str | None]:
        if self._whole is None:
            return (self._given_medium(row),)
        return () if row.get(ERROR) is not None else self._whole.media(self._whole.of(row))

    def _given_medium(self, row: Row) -> str | None:
        """The user's own medium in a row; None: none that could be asked for."""
        if row.get(ERROR) is not None or any(row.get(column) for column in self._drawn):
            return None
        try:
            return self._value(row)
        except RowError:
            return None

    def read(self, row: Row, number: int, mark: bytes = b"") -> Iterable[Work]:
        """The ``repeat_time`` output rows of the `number`-th row read, `mark` being its line's."""
        if self._repeats == 1:
            return (self._work(row, number, 0, mark),)
        first = number * self._repeats
        return (self._work(row, first + repeat, repeat) for repeat in range(self._repeats))

    def given(self, work: Work) -> Given:
        """What the model gets of a row that has an input."""
        row_seed = seed(self._seed, self._identity, work.of, work.repeat)
        if self._whole is not None:
            whole = self._whole.of(work.row)
            return Given(work.number, row_seed, text=work.value, row=whole)
        if self._is_text_alone:
            return Given(work.number, row_seed, text=work.value)
        values: dict[Medium, str | None] = {self._reads: work.value}
        if self._reads_too is not None:
            values[self._reads_too] = work.row.get(current(self._reads_too))
        return Given(
            work.number,
            row_seed,
            text=values.get("text"),
            image=values.get("image"),
            video=values.get("video"),
            columns=self._own_columns(work.row),
        )

    def _work(self, row: Row, number: int, repeat: int, mark: bytes = b"") -> Work:
        own = row
        if self._repeats > 1:
            own = row.copy()
            own[ID] = repeat_id(row[ID], repeat)
            own[REPEAT] = f"{row.get(REPEAT) or ''}_{repeat}"
        if row.get(ERROR) is not None:
            return Work(number, own)
        own.pop(KEY, None)
        of: str = row[ID]
        try:
            value = self._value(row)
        except RowError as error:
            return Work(number, own, of, repeat, error=error)
        if self._whole is not None:
            whole = self._whole.of(own)
            return self._by_row(Work(number, own, of, repeat, value or ""), self._whole, whole)
        if value is None:
            return Work(number, own, of, repeat)
        told, stamp = (value, "") if self._reads == "text" else self._medium(row, value)
        if self._reads_too is not None or self._columns:
            stamp += self._beside(row)
        digest = key(self._state, of, repeat, told, stamp)
        return Work(number, own, of, repeat, value, digest, mark=mark)

    def _by_row(self, work: Work, rows: WholeRows, row: Row) -> Work:
        """Work whose key all of the row decides, the bytes of its picture and clip too."""
        stamp = " ".join(self._stamps.of(medium)[1] for medium in rows.media(row))
        told = fingerprint([work.value, row])
        return work._replace(digest=key(self._state, work.of, work.repeat, told, stamp))

    def _beside(self, row: Row) -> str:
        """What of the row decides the answer beside the medium, for a key."""
        too = None if self._reads_too is None else row.get(current(self._reads_too))
        columns = self._own_columns(row)
        return "" if too is None and not columns else fingerprint([too, columns])

    def _own_columns(self, row: Row) -> dict[str, Any]:
        """Those the model asks for; they tell nothing of a medium that an earlier step made."""
        if any(row.get(column) is not None for column in self._drawn):
            return {}
        return {name: row[name] for name in self._columns if row.get(name) is not None}

    def _medium(self, row: Row, path: str) -> tuple[str, str]:
        """What tells a medium from others in a key: a drawn one's digest, wherever it lies."""
        for column in self._drawn:
            answer = row.get(column)
            if answer is not None:
                return _DRAWN, answer["digest"]
        return self._stamps.of(path)

    def _value(self, row: Row) -> str | None:
        """The text or the medium's path this step reads; None: the row has none."""
        input_key = self._step.input_key
        if input_key is None:
            return row.get(self._newest)
        if input_key in self._earlier:
            return self._earlier_value(row, self._earlier[input_key])
        if input_key not in row:
            raise RowError("missing_column", f"the row has no column '{input_key}' (input_key)")
        if self._reads == "text":
            return checked_text(row[input_key], input_key)
        path = resolve_medium(row[input_key], self._meta_folder, self._hosts)
        return None if path is None else self._written.checked(path)

    def _earlier_value(self, row: Row, earlier: StepSpec) -> str | None:
        answer = row.get(answer_column(earlier.asset))
        value = None if answer is None else answer.get(self._reads)
        if value is None or self._reads == "text":
            return value
        return address(self._folders.step_folder(earlier) / value)


def checked_text(value: object, column: str) -> str | None:
    """A column's text; None where it is null.

    Raises:
        RowError: ``bad_value``: it is something else.
    """
    if value is None or isinstance(value, str):
        return value
    shown = repr(value)[:80]
    raise RowError(
        "bad_value", f"column '{column}' is {shown} ({type(value).__name__}), not a text"
    )
