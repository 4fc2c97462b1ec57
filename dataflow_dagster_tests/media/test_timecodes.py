from typing import Any

import pytest

from dataflow_dagster.media.timecodes import seconds_of


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0),
        (1.5, 1.5),
        (" 2 ", 2),
        ("1e3", 1000),
        ("1:30", 90),
        ("90:00", 5400),
        ("00:01:30", 90),
        ("01:00:00.250", 3600.25),
        ("100:59:59.9", 363599.9),
    ],
)
def test_seconds_and_timecodes_are_times(written: Any, seconds: float) -> None:
    assert seconds_of(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "soon", "1:60", "1:75:00", "1:2:3:4", "-1:30", ":30", "1:", -1, True, None),
        *(b"1", float("nan"), float("inf"), "nan", "inf", 10**400, [1]),
    ],
)
def test_what_is_no_time_of_a_clip_is_refused(written: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # no message of its own: the row's error tells it
        seconds_of(written)
