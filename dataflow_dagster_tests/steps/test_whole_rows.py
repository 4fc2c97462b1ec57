from typing import Any

import pytest

from dataflow_dagster_tests.steps.driving import Ground

SHOWN = """
def shown(row: dict) -> str:
    return str(sorted((name, value) for name, value in row.items() if name[:8] != "dataflow"))
"""


@pytest.fixture
def shown(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A step whose answer is all that its function is given of the user's row."""
    module = f"showing_{ground.folder.name}"
    (ground.folder / f"{module}.py").write_text(SHOWN)
    monkeypatch.syspath_prepend(ground.folder)
    return {"type": "Function", "name": f"{module}:shown", "config": {}}


def test_what_parquet_makes_of_a_row_beside_others_changes_no_answer(
    ground: Ground, shown: dict[str, Any]
) -> None:
    plain = [{"id": str(n), "n": n, "deep": {"a": n}, "list": [n]} for n in range(4)]
    other = [{"id": str(n), "n": n + 0.5, "more": "x", "deep": {"b": 1.5}} for n in range(4, 8)]
    ground.rows(*plain, *other)
    split = ground.run(shown, format="parquet", shards=2)
    answers = [row["text"] for row in split.rows()]
    assert answers[0] == "[('deep', {'a': 0}), ('id', '0'), ('list', [0]), ('n', 0)]"
    whole = ground.run(shown, format="parquet")
    assert whole.tally("texts").reused == 8
    assert [row["text"] for row in whole.rows()] == answers
    recomputed = ground.run(shown, format="parquet", recompute=True)
    assert [row["text"] for row in recomputed.rows()] == answers
    assert ground.run(shown).tally("texts").reused == 8
