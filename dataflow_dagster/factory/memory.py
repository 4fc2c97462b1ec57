"""What one look of the sensor leaves to the next."""

from dataclasses import asdict, dataclass, field
from typing import Any

from dataflow_dagster.rows import decode, encode
from dataflow_dagster.shards.catalogue import Catalogue


@dataclass(slots=True)
class Memory:
    """How the input looked, and what was begun for it.

    Attributes:
        pending: Files that were new or changed, as they looked.
        asked: The runs that were begun: the first and last shard of each; none of an input
            without shards.
        id: What all these runs are tagged with; empty: none are at work.
        given: How the files looked that they were begun for.
        done: How the input looked that was run last, of an input that is no shards of files.
    """

    pending: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[list[str]] = field(default_factory=list[list[str]])
    id: str = ""
    given: dict[str, str] = field(default_factory=dict[str, str])
    done: str = ""


def recall(cursor: str | None, catalogue: Catalogue | None) -> Memory:
    """The memory of the look before.

    Args:
        cursor: The sensor's; None: it is new, or a person reset it.
        catalogue: Keeps it for shards of files; None: the cursor holds all.
    """
    told: dict[str, Any] = decode(cursor) if cursor else {}
    if catalogue is None or told.keys() - {"id"}:  # as earlier versions wrote it
        return Memory(**told)
    kept = catalogue.memory()
    memory = Memory(**decode(kept)) if kept else Memory()
    if memory.id == told.get("id", ""):
        return memory
    return Memory(pending=memory.pending)  # the look died in between: its runs are asked for again


def remember(memory: Memory, catalogue: Catalogue | None) -> str:
    """Leave a memory to the next look; gives the cursor.

    Dagster keeps the cursor with every look: of 10,000 files it would be a megabyte each time.
    """
    if catalogue is None:
        return encode(asdict(memory)).decode()
    kept = encode(asdict(memory))
    if kept != catalogue.memory():
        catalogue.remember(kept)
    return encode({"id": memory.id}).decode()
