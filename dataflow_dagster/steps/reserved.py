"""The user's columns whose names are ours."""

from functools import lru_cache

from dataflow_dagster.rows import ERROR, ID, PREFIX, SOURCE_PREFIX, Row, RowError


@lru_cache(maxsize=256)
def _reserved(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are ours by name; rows of one input have the same columns again and again."""
    return tuple(
        column
        for column in columns
        if column.startswith(PREFIX) and not column.startswith(SOURCE_PREFIX)
    )


def without_ours(row: Row) -> Row:
    """A copy without them."""
    copy = row.copy()
    for column in _reserved(tuple(row)):
        del copy[column]
    return copy


def check_columns(row: Row) -> None:
    """Hold that a row has no column of ours.

    Raises:
        RowError: ``reserved_column``.
    """
    named = refused(row)
    if named:
        raise RowError(
            "reserved_column",
            f"column '{named[0]}': names beginning with '{PREFIX}' are kept for the platform",
        )


def refused(row: Row) -> list[str]:
    """Columns for which a row is refused.

    Not for null: a parquet file has the column for the sake of other rows. Nor for the error that
    a row of earlier ``results`` carries, and the id of an exported one: it is tried like any other.
    """
    ours = _reserved(tuple(row))
    return [name for name in ours if row[name] is not None and name not in (ERROR, ID)]
