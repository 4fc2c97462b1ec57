"""One corpus of hostile metadata and media, run through whole pipelines: each costs its row."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataflow_dagster_tests.steps.driving import Ground, draw, step

ENCODERS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")
MIB = 1 << 20


def encoded(encoder: str, side: int = 64) -> bytes:
    """Noise: no encoder shortens it, so that every cut takes pixels away."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, encoder)
    return content.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def blank(encoder: str, side: int) -> bytes:
    """Some kilobytes that say they are `side` x `side`."""
    content = io.BytesIO()
    Image.new("1", (side, side)).save(content, encoder)
    return content.getvalue()


MEDIA: dict[str, tuple[Callable[[], bytes], str | None]] = {
    **{
        f"{encoder} cut at {tenths}0 %": (
            lambda encoder=encoder, tenths=tenths: encoded(encoder)[
                : len(encoded(encoder)) * tenths // 10
            ],
            "corrupt_picture" if tenths else "empty_file",
        )
        for encoder in ENCODERS
        for tenths in range(10)
    },
    **{f"{encoder} named otherwise": (lambda e=encoder: encoded(e), None) for encoder in ENCODERS},
    "PNG bomb": (lambda: blank("PNG", 20_000), "picture_too_large"),
    "TIFF bomb": (lambda: blank("TIFF", 14_000), "picture_too_large"),
    "zip named png": (lambda: zipped("a.png", encoded("PNG")), "corrupt_picture"),
    "zip bomb named png": (lambda: zipped("a.png", bytes(64 * MIB)), "corrupt_picture"),
    "zip behind a png": (lambda: encoded("PNG") + zipped("a", b"x" * MIB), None),
    "gzip named png": (lambda: gzip.compress(encoded("PNG")), "corrupt_picture"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "corrupt_picture"),
    "html": (lambda: b"<html>404</html>", "corrupt_picture"),
    "NUL bytes": (lambda: bytes(MIB), "corrupt_picture"),
    "nothing": (lambda: b"", "empty_file"),
}


def test_hostile_pictures_cost_their_rows_alone(ground: Ground) -> None:
    draw(ground.source / "good.png")
    rows = [{"image": "good.png"}]
    for number, (make, _) in enumerate(MEDIA.values()):
        (ground.source / f"{number}.png").write_bytes(make())
        rows += [{"image": f"{number}.png"}, {"image": "good.png"}]
    ground.rows(*rows)
    outcome = ground.run(step("Look"), step("Paint"))
    kinds = outcome.kinds("results")
    assert dict(zip(MEDIA, kinds[1::2], strict=True)) == {n: kind for n, (_, kind) in MEDIA.items()}
    assert kinds[::2] == [None] * (len(MEDIA) + 1)
    good = {row["text"] for row in outcome.rows()[::2]}
    assert good == {"4x4 (255, 0, 0)"}
    assert len(outcome.errors()) == sum(kind is not None for kind in kinds)


LINES: dict[str, tuple[bytes, str | None]] = {
    "deep": (b'{"id": "x", "text": "t", "a": ' + b"[" * 500 + b"]" * 500 + b"}", "malformed_line"),
    "very deep": (b'{"a": ' * 100_000, "malformed_line"),
    "NUL byte": (b'{"text": "a\0b"}', "malformed_line"),
    "NUL written out": (b'{"text": "a\\u0000b"}', None),
    "lone surrogate": (b'{"text": "\\ud800"}', None),
    "no UTF-8": (b'{"text": "\xff"}', "malformed_line"),
    "100 MB": (b'{"text": "' + b"x" * 100_000_000 + b'"}', "malformed_line"),
    "NaN and Infinity": (b'{"text": "t", "a": [NaN, Infinity, -Infinity]}', None),
    "keys twice": (b'{"text": "no", "text": "yes"}', None),
    "long number": (b'{"text": "t", "a": ' + b"9" * 400 + b"}", None),
    "list": (b'["text"]', "malformed_line"),
    "cut": (b'{"text": "a', "malformed_line"),
    "two in a line": (b'{"text": "a"} {"text": "b"}', "malformed_line"),
    "our own column": (b'{"text": "t", "dataflow_name": "x"}', "reserved_column"),
    "text that is none": (b'{"text": {"a": 1}}', "bad_value"),
}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_hostile_lines_cost_their_rows_alone(ground: Ground, form: str) -> None:
    with (ground.source / "rows.jsonl").open("wb") as file:
        for line, _ in LINES.values():
            file.write(b'{"text": "good"}\n' + line + b"\n")
    outcome = ground.run(step("Upper"), format=form)
    kinds = outcome.kinds("results")
    assert dict(zip(LINES, kinds[1::2], strict=True)) == {n: kind for n, (_, kind) in LINES.items()}
    assert [row["text"] for row in outcome.rows()[::2]] == ["GOOD"] * len(LINES)
    assert outcome.rows()[2 * list(LINES).index("keys twice") + 1]["text"] == "YES"


def test_a_hostile_csv_costs_its_rows_alone(ground: Ground) -> None:
    lines = [
        *("text,b", "good,1", "ragged", "good,2", "too,many,fields", "good,3"),
        *('"good', '",4', 'a"quote,5', "good,6", "nul\0,7", "good,8", '"never closed,9', "good,10"),
    ]
    (ground.source / "rows.csv").write_text("\n".join(lines) + "\n")
    outcome = ground.run(step("Upper"), meta_path=str(ground.source / "rows.csv"))
    good = [row for row in outcome.rows() if "dataflow_error" not in row]
    assert [row["b"] for row in good] == ["1", "2", "3", "4", "5", "6", "8", "10"]
    assert good[3]["text"] == "GOOD\n"
    assert {kind for kind in outcome.kinds("results") if kind} == {"malformed_line"}


def test_every_kind_of_parquet_column_travels(ground: Ground) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "text": pa.array(["a", None, "b"]).dictionary_encode(),
            "nested": [{"a": [{"b": 1}]}, None, {"a": []}],
            "binary": [b"\xff\x00", b"", None],
            "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "float": [float("nan"), float("inf"), 0.5],
        }
    )
    pq.write_table(table, ground.source / "rows.parquet")
    for form in ("jsonl", "parquet"):
        rows = ground.run(
            step("Upper"), meta_path=str(ground.source / "rows.parquet"), format=form, name=form
        ).rows()
        assert [row["text"] for row in rows] == ["A", None, "B"]
        assert rows[0]["nested"] == {"a": [{"b": 1}]}
        assert [row["binary"] for row in rows] == ["/wA=", "", None]
        assert rows[0]["map"] in ({"k": 1}, json.dumps({"k": 1}))


def test_the_corpus_is_made_by_the_tests_alone(tmp_path: Path) -> None:
    assert not list((Path(__file__).parents[1]).rglob("*.png")), tmp_path
