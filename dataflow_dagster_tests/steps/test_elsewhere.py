"""Input and media that lie in an object store or on a web server."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataflow_dagster.media import fetching
from dataflow_dagster.media.fetching import Fetcher, MediaRules
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster_tests.media.clips_made import write_video
from dataflow_dagster_tests.media.web_server import WebServer, serving
from dataflow_dagster_tests.steps.driving import Ground, draw, step
from dataflow_dagster_tests.toys.pipelines import FILM, WATCH


def png(color: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving({"/red.png": png("red"), "/text.png": b"no picture"}) as server:
        yield server


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_rows_and_pictures_are_read_from_a_store(ground: Ground, s3: Any) -> None:
    names = ["a.png", "none.png", "text.png", "sub/../b.png", "../out.png", "s3://bucket/in/b.png"]
    s3.pipe("bucket/in/rows.jsonl", lines(*({"image": name} for name in names)))
    s3.pipe({"bucket/in/a.png": png("red"), "bucket/in/b.png": png("blue")})
    s3.pipe("bucket/in/text.png", b"no picture")
    outcome = ground.run(step("Look"), step("Paint"), meta_path="s3://bucket/in/rows.jsonl")
    assert outcome.kinds("captions") == [
        *(None, "missing_file", "corrupt_picture", None, "outside_meta_folder", None)
    ]
    seen = [row["text"] for row in outcome.rows() if "text" in row]
    assert seen == ["4x4 (255, 0, 0)", "4x4 (0, 0, 255)", "4x4 (0, 0, 255)"]
    messages = [error["message"] for error in outcome.errors()]
    assert messages[0].startswith("s3://bucket/in/none.png")
    assert messages[1].startswith("s3://bucket/in/text.png")
    assert outcome.rows()[0]["image"] == "generated_images/a_generated.png"


@pytest.mark.parametrize("meta_path", ["s3://bucket/in", "s3://bucket/in/*.jsonl"])
def test_folders_and_globs_of_a_store_are_read(ground: Ground, s3: Any, meta_path: str) -> None:
    for number in range(3):
        s3.pipe(f"bucket/in/{number}.jsonl", lines({"id": number, "text": f"t{number}"}))
    outcome = ground.run(step("Upper"), meta_path=meta_path, shards=2)
    assert [row["text"] for row in outcome.rows()] == ["T0", "T1", "T2"]
    s3.pipe("bucket/in/3.jsonl", lines({"id": 3, "text": "t3"}))
    assert len(ground.run(step("Upper"), meta_path=meta_path, shards=2).rows()) == 4


def test_parquet_and_csv_of_a_store_are_read(ground: Ground, s3: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with s3.open("bucket/rows.parquet", "wb") as file:
        pq.write_table(pa.table({"text": ["a", "b"]}), file)
    s3.pipe("bucket/rows.csv", b"text\nc\n")
    for name, texts in {"rows.parquet": ["A", "B"], "rows.csv": ["C"]}.items():
        outcome = ground.run(step("Upper"), meta_path=f"s3://bucket/{name}", name=name[:4] + "_x")
        assert [row["text"] for row in outcome.rows()] == texts


def test_a_folder_of_pictures_in_a_store_is_an_input(ground: Ground, s3: Any) -> None:
    s3.pipe({"bucket/in/b/2.png": png("blue"), "bucket/in/a.png": png("red")})
    s3.pipe({"bucket/in/.hidden.png": b"", "bucket/in/notes.txt": b""})
    outcome = ground.run(step("Look"), meta_path="s3://bucket/in")
    assert [row["image"] for row in outcome.rows()] == ["a.png", "b/2.png"]
    assert [row["text"] for row in outcome.rows()] == ["4x4 (255, 0, 0)", "4x4 (0, 0, 255)"]


def test_only_an_object_that_changed_is_answered_anew(ground: Ground, s3: Any) -> None:
    s3.pipe({f"bucket/in/{name}.png": png("red") for name in "abc"})
    ground.rows(*({"id": name, "image": f"{name}.png"} for name in "abc"))
    keys = {"meta_folder": "s3://bucket/in"}
    ground.run(step("Look"), **keys)
    s3.pipe("bucket/in/b.png", png("blue"))
    ground.rows(*({"id": name, "image": f"{name}.png"} for name in "abcd"))
    outcome = ground.run(step("Look"), **keys)
    assert ground.asked() == ["b.png"] or len(ground.asked()) == 1
    assert outcome.kinds("captions") == [None, None, None, "missing_file"]
    assert outcome.rows()[1]["text"] == "4x4 (0, 0, 255)"


def test_pictures_come_from_allowed_hosts_alone(ground: Ground, web: WebServer) -> None:
    ground.rows(
        {"image": f"{web.url}/red.png"},
        {"image": f"{web.url}/none.png"},
        {"image": f"{web.url}/text.png"},
        {"image": "http://localhost:1/red.png"},
        {"image": f"{web.url}/moved?http://127.0.0.1:1/red.png"},
        {"image": f"{web.url}/red.png?again"},
    )
    outcome = ground.run(step("Look"), step("Paint"), allowed_hosts=[web.host])
    bad = ["missing_file", "corrupt_picture", "host_not_allowed", "host_not_allowed"]
    assert outcome.kinds("captions") == [None, *bad, None]
    assert outcome.rows()[0]["image"] == "generated_images/red_generated.png"
    assert f"{web.url}/text.png" in outcome.errors()[1]["message"]


@pytest.mark.usefixtures("toys")
def test_clips_come_from_stores_and_allowed_hosts(ground: Ground, s3: Any, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", 12).read_bytes()
    s3.pipe({"bucket/in/a.mp4": whole, "bucket/in/cut.mp4": whole[: len(whole) // 2]})
    with serving({"/films/b.webm": whole}) as web:
        names = ["a.mp4", "cut.mp4", "none.mp4", f"{web.url}/films/b.webm", "http://127.0.0.1:1/a"]
        lined = lines(*({"id": str(at), "clip": name} for at, name in enumerate(names)))
        s3.pipe("bucket/in/rows.jsonl", lined)
        keys: dict[str, Any] = {"meta_path": "s3://bucket/in/rows.jsonl", "video_key": "clip"}
        keys |= {"allowed_hosts": [web.host]}
        outcome = ground.run(dict(WATCH), dict(FILM), **keys)
        again = ground.run(dict(WATCH), dict(FILM), **keys)
    bad = ["corrupt_video", "missing_file", None, "host_not_allowed"]
    assert outcome.kinds("video_captions") == [None, *bad]
    rows = outcome.rows()
    assert [row.get("text") for row in rows] == ["12 frames", None, None, "12 frames", None]
    assert (rows[0]["clip"], rows[3]["clip"]) == (
        "generated_videos/a_generated.mp4",
        "generated_videos/b_generated.webm",
    )
    assert "s3://bucket/in/cut.mp4" in outcome.errors()[0]["message"]
    assert again.tally("video_captions").reused == 2
    assert web.asked["/films/b.webm"] == 1


def test_a_web_servers_file_is_asked_for_once_in_all(ground: Ground, web: WebServer) -> None:
    ground.rows({"id": 1, "image": f"{web.url}/red.png"})
    for _ in range(2):
        ground.run(step("Look"), allowed_hosts=[web.host])
    ground.rows({"id": 1, "image": f"{web.url}/red.png"}, {"id": 2, "image": ""})
    outcome = ground.run(step("Look"), allowed_hosts=[web.host])
    assert (outcome.tally("captions").reused, web.asked["/red.png"]) == (1, 1)


def test_with_hash_media_the_bytes_count_wherever_they_lie(ground: Ground, web: WebServer) -> None:
    draw(ground.source / "a.png")
    (ground.source / "red.png").write_bytes(web.files["/red.png"])
    keys: dict[str, Any] = {"hash_media": True, "allowed_hosts": [web.host]}
    ground.rows({"id": 1, "image": "a.png"}, {"id": 2, "image": f"{web.url}/red.png"})
    ground.run(step("Look"), **keys)
    (ground.source / "a.png").rename(ground.source / "moved.png")
    ground.rows({"id": 1, "image": "moved.png"}, {"id": 2, "image": "red.png"})
    assert ground.run(step("Look"), **keys).tally("captions").reused == 2
    draw(ground.source / "moved.png", (0, 0, 255))
    ground.rows({"id": 1, "image": "moved.png"}, {"id": 2, "image": "red.png"}, {"id": 3})
    tally = ground.run(step("Look"), **keys).tally("captions")
    assert (tally.reused, tally.computed, tally.skipped) == (1, 1, 1)
    assert web.asked["/red.png"] == 1


def test_what_was_fetched_to_be_hashed_is_not_kept_without_end(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_MOST_KEPT_BYTES", len(web.files["/red.png"]) + 10)
    fetcher = Fetcher(MediaRules((web.host,)))
    urls = [f"{web.url}/red.png?{number}" for number in range(3)]
    assert len({fetcher.digest(url) for url in urls}) == 1
    copies = [fetcher.local_copy(url) for url in urls]
    assert [copy.read_bytes() for copy in copies] == [web.files["/red.png"]] * 3
    assert web.asked["/red.png"] == 5  # the last of them was still there
    fetcher.close()


def test_a_fetched_medium_above_the_limit_costs_one_row(ground: Ground, web: WebServer) -> None:
    ground.rows({"image": f"{web.url}/endless"}, {"image": f"{web.url}/red.png"})
    outcome = ground.run(step("Look"), allowed_hosts=[web.host], media_limit_mb=1)
    assert outcome.kinds("captions") == ["file_too_large", None]


@pytest.mark.parametrize("host", ["https://example.org", "example.org/path", "*", "a.*.org", ""])
def test_what_is_no_host_is_refused_at_load(ground: Ground, host: str) -> None:
    with pytest.raises(PipelineError, match="a host such as"):
        ground.pipeline(step("Upper"), allowed_hosts=[host])


def test_nothing_fetched_is_left(ground: Ground, web: WebServer, tmp_path: Path) -> None:
    import tempfile

    before = set(Path(tempfile.gettempdir()).glob("dataflow-media-*"))
    ground.rows({"image": f"{web.url}/red.png"})
    ground.run(step("Look"), allowed_hosts=[web.host])
    assert set(Path(tempfile.gettempdir()).glob("dataflow-media-*")) <= before
