"""One JSON list of objects, read as a stream.

Python's own decoder is given one object at a time. ijson, the usual choice, makes Decimals of
floats or refuses integers over 64 bits, and ends at the first NaN, which `json.dump` writes.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from dataflow_dagster.formats.files import BROKEN_STREAM, opened
from dataflow_dagster.formats.format import (
    BEGINNING,
    MOST_RECORD_BYTES,
    Block,
    InputError,
    Mark,
    cut,
    object_of,
)
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row, RowError

_CHUNK: Final = 1 << 16
_NO_SPACE: Final = re.compile(r"[^ \t\r\n]")
_DECODER: Final = json.JSONDecoder()
_LONGEST_WORD: Final = 16
"""Characters: an error nearer to the end of what was read may be a word cut in two."""


class Json:
    """``.json``, UTF-8, also gzipped: a list of objects.

    A member that is no object is one failed row. After a syntax error nobody knows where the next
    object begins: what stands before it is read, the rest is one failed row.
    """

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """The members of the list.

        Raises:
            InputError: The file is missing, empty, or holds something else than a list.
        """
        with opened(path) as file:
            yield from cut(_Members(path, file, start))


class _Members:
    def __init__(self, path: AnyPath, file: BinaryIO, start: Mark) -> None:
        self.taken = 0
        self._path = path
        self._file = file
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._before = start.position  # bytes before self._text
        self._line = start.line
        self._inside = start != BEGINNING
        self._ended = False  # the file is read to its end
        self._done = False  # nothing more can be taken
        self._has_escapes = False  # some bytes were no UTF-8
        file.seek(start.position)

    @property
    def mark(self) -> Mark:
        return Mark(self._before + _bytes(self._text[: self._at]), self._line)

    def take(self) -> Row | None:
        if self._done:
            return None
        try:
            return self._take()
        except BROKEN_STREAM as broken:
            if not self._before and not self._text:
                raise InputError(self._path, f"cannot be read: {broken}") from broken
            raise self._rest(f"cannot be read: {broken}", self._at) from broken

    def _take(self) -> Row | None:
        first = not self._inside
        if first:
            self._enter()
        following = self._peek()
        if following == "]":
            return self._leave()
        if not first:
            if following != ",":
                raise self._rest("',' or ']' expected", self._at)
            self._move(self._at + 1)
            self._peek()
        return self._member()

    def _enter(self) -> None:
        if self._peek() == "\ufeff":
            self._move(self._at + 1)
        following = self._peek()
        if following != "[":
            what = {"": "is empty", "{": "begins with an object"}.get(following, "is no JSON list")
            hint = "one list of objects is allowed; one object a line is .jsonl"
            raise InputError(self._path, f"{what}; {hint}")
        self._move(self._at + 1)
        self._inside = True

    def _leave(self) -> None:
        self._move(self._at + 1)
        if self._peek():
            raise self._rest("text after the end of the list", self._at)
        self._done = True

    def _member(self) -> Row:
        line = self._line + 1
        value, begins = self._decode()
        if self._has_escapes and not _is_whole(self._text[begins : self._at]):
            raise self._failure("not UTF-8", line)
        try:
            return object_of(value, self._brackets(begins))
        except ValueError as wrong:
            raise self._failure(str(wrong), line) from wrong

    def _brackets(self, begins: int) -> int:
        return sum(self._text.count(bracket, begins, self._at) for bracket in "{[")

    def _decode(self) -> tuple[Any, int]:
        """The next value, and where its text begins."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as wrong:
                if self._ended or not self._may_be_cut(wrong):
                    raise self._rest(wrong.msg, wrong.pos) from wrong
            except (ValueError, RecursionError) as wrong:
                raise self._rest(str(wrong), self._at) from wrong
            else:
                if end < len(self._text) or self._ended:
                    begins = self._at
                    self._move(end)
                    return value, begins
            self._read()

    def _may_be_cut(self, wrong: json.JSONDecodeError) -> bool:
        if len(self._text) - self._at > MOST_RECORD_BYTES:
            return False
        near_end = wrong.pos > len(self._text) - _LONGEST_WORD
        return near_end or wrong.msg.startswith("Unterminated string")

    def _peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            found = _NO_SPACE.search(self._text, self._at)
            self._move(found.start() if found else len(self._text))
            if found or self._ended:
                return self._text[self._at : self._at + 1]
            self._read()

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self.taken += to - self._at
        self._at = to

    def _read(self) -> None:
        """Take in as much again as is waiting, so that a long member is not decoded too often."""
        waiting = self._text[self._at :]
        chunk = self._file.read(max(_CHUNK, len(waiting)))
        self._before += _bytes(self._text[: self._at])
        text = self._utf8.decode(chunk, final=not chunk)
        self._has_escapes = self._has_escapes or not _is_whole(text)
        self._text = waiting + text
        self._at = 0
        self._ended = not chunk

    def _rest(self, reason: str, at: int) -> RowError:
        self._done = True
        line = self._line + 1 + self._text.count("\n", self._at, at)
        message = f"{self._path}, from line {line} on: {reason}; what follows cannot be read"
        return RowError("unreadable_rest", message)

    def _failure(self, reason: str, line: int) -> RowError:
        return RowError("malformed_line", f"{self._path}, line {line}: {reason}")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
