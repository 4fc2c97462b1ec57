"""Folders made read-only between runs and under them; root has to heed their permissions too."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflow_dagster_tests.steps.driving import Ground, files, many, step

ROOT = Path(__file__).parents[2]
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1
RUN = """
import sys
from pathlib import Path
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.steps import driving, probes
base = Path(sys.argv[1]).parent / "base"
probes.register()
if len(sys.argv) > 2:
    answer = probes.Dice.good_answer
    def good_answer(probe, request):
        if request.prompt == sys.argv[2]:
            for folder in base.iterdir():
                folder.chmod(0o555)
        return answer(probe, request)
    probes.Dice.good_answer = good_answer
print(driving.run(load_pipeline(Path(sys.argv[1]))).tally("texts"))
"""


@pytest.fixture
def base(ground: Ground) -> Iterator[Path]:
    """The base folder of `ground`; it can be removed afterwards."""
    base = ground.folder / "base"
    yield base
    make(base, 0o755)


def make(base: Path, mode: int) -> None:
    """Give all folders below `base`, and it, a mode."""
    for folder in (base, *(path for path in base.rglob("*") if path.is_dir())):
        folder.chmod(mode)


def heed_permissions() -> None:
    """What is run after this, root too, may write only where the mode says so."""
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def run(ground: Ground, *given: str) -> subprocess.CompletedProcess[str]:
    """One run in a process of its own; `given`: at which prompt folders become read-only."""
    return subprocess.run(
        [sys.executable, "-c", RUN, str(ground.file(step("Dice"))), *given],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=heed_permissions,  # it locks nothing and makes nothing
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_made_read_only_is_named_and_the_next_run_goes_on(
    ground: Ground, base: Path
) -> None:
    many(ground)
    ground.run(step("Dice"))
    before = files(base)
    many(ground, 14)
    make(base, 0o555)
    refused = run(ground)
    assert f"PermissionError: [Errno 13] Permission denied: '{base}/" in refused.stderr
    assert files(base) == before
    make(base, 0o755)
    texts = ground.run(step("Dice")).tally("texts")
    assert (texts.reused, texts.computed) == (12, 2)


def test_where_nothing_is_to_do_a_read_only_folder_is_good_enough(
    ground: Ground, base: Path
) -> None:
    many(ground)
    ground.run(step("Dice"))
    make(base, 0o555)
    done = run(ground)
    assert "reused=12" in done.stdout, done.stderr


def test_a_folder_made_read_only_under_a_run_keeps_what_was_answered(
    ground: Ground, base: Path
) -> None:
    many(ground)
    refused = run(ground, "t9")
    assert "PermissionError: [Errno 13] Permission denied: " in refused.stderr
    assert str(base / "step_1_Probe_Dice/result.") in refused.stderr
    assert not (base / "step_1_Probe_Dice/result.jsonl").exists()
    make(base, 0o755)
    outcome = ground.run(step("Dice"))
    assert outcome.tally("texts").reused == len(outcome.rows()) == 12
    assert ground.opened() == 0
