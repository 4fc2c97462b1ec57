from pathlib import Path

from dataflow_dagster.schema.document import read_document
from dataflow_dagster.schema.findings import Findings


def _findings() -> Findings:
    return Findings(read_document("a: 1\nb: 2\n", Path("x.yaml")))


def test_the_first_problem_with_a_key_is_the_one_kept() -> None:
    findings = _findings()
    findings.refuse(("b",), "is the cause")
    findings.refuse(("b",), "is what follows from it")
    findings.refuse(("a",), "is another")
    assert [problem.message for problem in findings.problems] == ["is the cause", "is another"]


def test_a_warning_is_told_with_file_line_and_key() -> None:
    findings = _findings()
    findings.warn(("b",), "is an old spelling")
    assert findings.warnings == ["x.yaml:2: b: is an old spelling"]
    assert findings.problems == []
