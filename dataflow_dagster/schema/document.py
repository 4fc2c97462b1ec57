"""YAML text → plain values, and where each of them stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dataflow_dagster.schema.errors import KeyPath, PipelineError, Place, Problem, problem_at
from dataflow_dagster.schema.scalars import (
    MERGE,
    UnreadableScalarError,
    no_meaning,
    resolvers,
    scalar,
)
from dataflow_dagster.schema.syntax import syntax_problem

DEEPEST = 32
"""Lists and mappings within each other. PyYAML descends by recursion; a pipeline needs some 6."""
MOST_VALUES = 20_000
"""Values after aliases are written out. A pipeline of a hundred steps needs some 3000."""

_COLLECTIONS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


@dataclass(frozen=True, slots=True)
class Document:
    """A read YAML text.

    Attributes:
        path: The file, for messages alone.
        root: None, text, a number, a list or a dict. Keys of dicts are text as it was written.
        places: Where each key, or each entry of a list, stands; through an alias: at its anchor.
        problems: What is wrong but did not hinder reading: keys given twice, tags without meaning.
    """

    path: Path
    root: Any
    places: Mapping[KeyPath, Place]
    problems: tuple[Problem, ...]

    def place(self, at: KeyPath) -> Place:
        """Where `at` stands, or, for what the text does not hold, the mapping it should be in."""
        while at and at not in self.places:
            at = at[:-1]
        return self.places[at]

    def problem(self, at: KeyPath, message: str) -> Problem:
        """A problem with what stands `at`."""
        return problem_at(self.place(at), at, message)


def read_document(text: str, path: Path) -> Document:
    """Read a text of one YAML document.

    Raises:
        PipelineError: The text is not YAML, or is nested or repeated beyond all use.
    """
    node = _composed(text, path)
    if node is None:
        return Document(path, None, {(): Place(1, 1)}, ())
    reader = _Reader(path)
    reader.places[()] = _place(node)
    root = reader.value(node, ())
    return Document(path, root, reader.places, tuple(reader.problems))


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = resolvers()
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self._depth > DEEPEST:
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(None, None, f"nested more than {DEEPEST} deep", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _composed(text: str, path: Path) -> yaml.Node | None:
    try:
        return _Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise PipelineError(path, [syntax_problem(error, text)]) from None


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


class _Reader:
    """One walk over a composed text, aliases written out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[KeyPath, Place] = {}
        self.problems: list[Problem] = []
        self._values = 0
        self._open: list[yaml.Node] = []

    def value(self, node: yaml.Node, at: KeyPath) -> Any:
        if isinstance(node, yaml.ScalarNode):
            self._count(node, at)
            return self._scalar(node, at)
        self._enter(node, at)
        if node.tag not in _COLLECTIONS:
            self.problems.append(problem_at(_place(node), at, no_meaning(node.tag)))
        value = (
            self._mapping(node, at)
            if isinstance(node, yaml.MappingNode)
            else self._sequence(node, at)
        )
        self._open.pop()
        return value

    def _enter(self, node: yaml.Node, at: KeyPath) -> None:
        self._count(node, at)
        if any(node is other for other in self._open):
            raise self._refused(node, at, "an alias (*name) stands within what it names")
        if len(self._open) > DEEPEST:
            raise self._refused(node, at, f"nested more than {DEEPEST} deep")
        self._open.append(node)

    def _count(self, node: yaml.Node, at: KeyPath) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            message = f"more than {MOST_VALUES} values once aliases (*name) are written out"
            raise self._refused(node, at, message)

    def _refused(self, node: yaml.Node, at: KeyPath, message: str) -> PipelineError:
        return PipelineError(self.path, [problem_at(_place(node), at[:3], message)])

    def _scalar(self, node: yaml.ScalarNode, at: KeyPath) -> Any:
        try:
            return scalar(node)
        except UnreadableScalarError as error:
            self.problems.append(problem_at(_place(node), at, str(error)))
            return node.value

    def _sequence(self, node: yaml.Node, at: KeyPath) -> list[Any]:
        entries: list[Any] = []
        for number, entry in enumerate(node.value):
            self.places[(*at, number)] = _place(entry)
            entries.append(self.value(entry, (*at, number)))
        return entries

    def _mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, entry, place in self._pairs(node, at):
            self.places[(*at, key)] = place
            values[key] = self.value(entry, (*at, key))
        return values

    def _pairs(self, node: yaml.MappingNode, at: KeyPath) -> Iterator[tuple[str, yaml.Node, Place]]:
        """Keys as they were written; merged ones (``<<``) after a mapping's own, first one wins."""
        seen: dict[str, Place] = {}
        merged: list[yaml.Node] = []
        for key_node, entry in node.value:
            if key_node.tag == MERGE:
                merged.append(entry)
                continue
            key = self._key(key_node, at)
            if key is not None and self._is_new(key, key_node, at, seen):
                yield key, entry, seen[key]
        for source in merged:
            for key, entry, place in self._merged(source, at):
                if key not in seen:
                    seen[key] = place
                    yield key, entry, place

    def _key(self, node: yaml.Node, at: KeyPath) -> str | None:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        message = 'a key must be a word; braces in a text want quotes: "{{ … }}"'
        self.problems.append(problem_at(_place(node), at, message))
        return None

    def _is_new(self, key: str, node: yaml.Node, at: KeyPath, seen: dict[str, Place]) -> bool:
        place = _place(node)
        first = seen.setdefault(key, place)
        if first is place:
            return True
        message = f"given twice, in line {first.line} and in line {place.line}; keep one"
        self.problems.append(problem_at(place, (*at, key), message))
        return False

    def _merged(self, source: yaml.Node, at: KeyPath) -> list[tuple[str, yaml.Node, Place]]:
        self._enter(source, at)
        pairs: list[tuple[str, yaml.Node, Place]] = []
        if isinstance(source, yaml.MappingNode):
            pairs = list(self._pairs(source, at))
        elif isinstance(source, yaml.SequenceNode):
            for entry in source.value:
                pairs += self._merged(entry, at)
        else:
            message = "<< takes a mapping or a list of mappings, such as *name"
            self.problems.append(problem_at(_place(source), (*at, "<<"), message))
        self._values += len(pairs)
        self._open.pop()
        return pairs
