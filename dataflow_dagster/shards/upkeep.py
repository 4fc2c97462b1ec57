"""What is forgotten of an input of files at the next look: shards that cannot be made any more."""

from collections.abc import Callable
from pathlib import Path

from dataflow_dagster.shards.catalogue import Catalogue
from dataflow_dagster.shards.files import Listing
from dataflow_dagster.shards.occurrences import Occurrences


def look_after(folder: Path, listing: Listing, is_made: Callable[[str], bool]) -> list[str]:
    """Drop what is no shard of the files any more; gives the keys of shards that were dropped.

    Shards of another folder, whose files have names of their own, are forgotten altogether. A
    shard that was made stays when its files are gone; one that was not goes with the last of them.

    Args:
        folder: Of raw_meta.
        listing: The input as it is now.
        is_made: Whether the shard of a key was made.
    """
    catalogue = Catalogue(folder)
    dropped = catalogue.of_another(str(listing.base))
    if not dropped:
        gone = catalogue.shards_without(frozenset(listing.names))
        dropped = [
            key
            for key, files in gone.items()
            if not is_made(key) and not any(map(listing.stamp, files))
        ]
    if dropped:
        Occurrences(folder).forget(map(catalogue.number, dropped))
        catalogue.drop(dropped)
    return dropped
