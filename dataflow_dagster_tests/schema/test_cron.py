import pytest
from dagster._utils.schedules import is_valid_cron_schedule

from dataflow_dagster.schema.cron import checked_cron


@pytest.mark.parametrize(
    "text",
    [
        *("0 2 * * *", "*/5 * * * *", "0 0 1,15 * mon-fri", "@daily", "@hourly", "59 23 31 12 7"),
        *("0-30/10 8-18/2 * jan-jun *", "0 0 29 2 *", "0  2 * * *", "0 2 * * SUN", "00 02 * * 0"),
    ],
)
def test_times_that_dagster_takes_are_taken(text: str) -> None:
    assert is_valid_cron_schedule(text)
    assert checked_cron(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "0 2 * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("a * * * *", "*/0 * * * *", "1,,2 * * * *", "0 0 30 2 *", "@sometimes", "-1 * * * *"),
    ],
)
def test_times_that_are_none_are_refused_here_and_by_dagster(text: str) -> None:
    assert not is_valid_cron_schedule(text)
    with pytest.raises(ValueError, match=r"field|allowed|no month"):
        checked_cron(text)


@pytest.mark.parametrize("text", ["0 2 * * * *", "30-10 * * * *", "0 0 31 4 *"])
def test_what_can_only_be_a_slip_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"5 fields|before it begins|no month"):
        checked_cron(text)
