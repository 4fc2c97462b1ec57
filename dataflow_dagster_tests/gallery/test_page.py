import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from dataflow_dagster.rows import seed
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.media.clips_made import write_video
from dataflow_dagster_tests.toys.pipelines import (
    FILM,
    NAME,
    PAINT,
    SHOUT,
    WATCH,
    picture_rows,
    pipeline,
    text_rows,
    with_config,
    write_rows,
)
from dataflow_dagster_tests.toys.runs import materialize, told

pytestmark = pytest.mark.usefixtures("toys")
DATA = re.compile(r'<script id="page" type="application/json">(.*?)</script>', re.DOTALL)


def _data(page: Path) -> dict[str, Any]:
    found = DATA.search(page.read_text(encoding="utf-8"))
    assert found is not None
    return json.loads(found[1])


def _made(of: PipelineSpec) -> dict[str, Any]:
    assert materialize(of).success
    return _data(Path(of.save_folder) / "gallery.html")


def test_a_row_is_its_picture_its_caption_and_the_picture_drawn_of_it(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 2)
    of = pipeline(tmp_path, [NAME, PAINT], rows=rows, meta_folder=str(tmp_path / "in"))
    first, _ = _made(of)["rows"]
    assert first["texts"] == [{"label": "captions", "text": "a red"}]
    assert [(m["label"], m["kind"], m["at"]) for m in first["media"]] == [
        ("image", "image", "../../in/0.png"),
        ("generated_images", "image", "./generated_images/0_generated.png"),
    ]
    for medium in first["media"]:
        assert (Path(of.save_folder) / medium["at"]).is_file()


def test_seeds_are_those_the_engine_was_given(tmp_path: Path) -> None:
    step = with_config(SHOUT, repeat_time=2)
    of = pipeline(tmp_path, [step, PAINT], rows=text_rows(1), seed=5)
    cards = _made(of)["rows"]
    assert [card["id"] for card in cards] == ["0#0", "0#1"]
    second = {given["step"]: given["seed"] for given in cards[1]["seeds"]}
    assert second == {
        "texts": str(seed(5, "Toy/Shouter", "0", 1)),
        "generated_images": str(seed(5, "Toy/Painter", "0#1", 0)),
    }


def test_rows_of_texts_alone_have_source_and_answer(tmp_path: Path) -> None:
    (card,) = _made(pipeline(tmp_path, [SHOUT], rows=text_rows(1)))["rows"]
    assert card["texts"] == [
        {"label": "text", "text": "row 0"},
        {"label": "texts", "text": "ROW 0"},
    ]
    assert card["media"] == []


def test_hostile_texts_and_names_are_data_and_nothing_else(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><!-- & \" ' \u2028"
    rows = picture_rows(tmp_path / "in", 3)
    for row, name in zip(
        rows, ["javascript:alert(1).png", "a b#c?d%.png", '"><b>.png'], strict=True
    ):
        (tmp_path / "in" / row["image"]).rename(tmp_path / "in" / name)
        row["image"] = name
        row["id"] = evil + row["id"]
    step = with_config(NAME, prompt=evil + "{color}")
    of = pipeline(tmp_path, [step], rows=rows, meta_folder=str(tmp_path / "in"))
    cards = _made(of)["rows"]
    text = (Path(of.save_folder) / "gallery.html").read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert [card["id"] for card in cards] == [row["id"] for row in rows]
    assert cards[0]["texts"][0]["text"] == evil + "red"
    assert [card["media"][0]["at"] for card in cards] == [
        "../../in/javascript%3Aalert%281%29.png",
        "../../in/a%20b%23c%3Fd%25.png",
        "../../in/%22%3E%3Cb%3E.png",
    ]
    assert evil in unescape(text.split("<main>")[1].split("</details>")[0])


def test_the_first_rows_and_every_failed_one_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("FIRST_ROWS", 5), ("FAILED_IN_PAGE", 3), ("FAILED_IN_CHUNK", 4)):
        monkeypatch.setattr(f"dataflow_dagster.gallery.page.{name}", count)
    rows = [
        {"id": str(n), "text": "bad" if n % 2 else "good"} for n in range(40)
    ]  # 20 fail, 2 of them among the first five
    of = pipeline(tmp_path, [SHOUT], rows=rows)
    data = _made(of)
    assert [card["id"] for card in data["rows"]] == list("01234579")
    assert [bool(card["error"]) for card in data["rows"][:5]] == [False, True, False, True, False]
    assert data["rows"][1]["error"] == {
        "step": "texts",
        "kind": "bad_text",
        "message": "bad is bad",
    }
    assert data["chunks"] == [f"gallery_failed/0000{n}.js" for n in range(1, 5)]
    further = [card for name in data["chunks"] for card in _chunk(Path(of.save_folder) / name)]
    assert [card["id"] for card in further] == [str(n) for n in range(11, 40, 2)]
    assert all(card["error"]["kind"] == "bad_text" for card in further)


def _chunk(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return json.loads(text.removeprefix("dataflowRows(").removesuffix(");\n"))


def test_scripts_of_rows_that_no_longer_fail_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_ROWS", "FAILED_IN_PAGE"):
        monkeypatch.setattr(f"dataflow_dagster.gallery.page.{name}", 1)
    of = pipeline(tmp_path, [SHOUT], rows=[{"id": str(n), "text": "bad"} for n in range(4)])
    assert len(_made(of)["chunks"]) == 1
    write_rows(tmp_path / "demo/in.jsonl", text_rows(4))
    assert _made(of)["chunks"] == []
    assert sorted(path.name for path in Path(of.save_folder).iterdir()) == [
        "gallery.html",
        "result.jsonl",
        "result.manifest.json",
    ]


def test_an_unchanged_shard_keeps_its_page_and_an_edited_prompt_does_not(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 1)
    keys: dict[str, Any] = {"rows": rows, "meta_folder": str(tmp_path / "in")}
    of = pipeline(tmp_path, [NAME], **keys)
    page = Path(of.save_folder) / "gallery.html"
    assert materialize(of).success
    before = page.stat().st_ino
    assert materialize(of).success
    assert page.stat().st_ino == before
    assert materialize(pipeline(tmp_path, [with_config(NAME, prompt="{color}!")], **keys)).success
    assert _data(page)["rows"][0]["texts"][0]["text"] == "red!"
    page.unlink()
    assert materialize(of).success
    assert page.exists()


def test_texts_without_end_are_cut(tmp_path: Path) -> None:
    (card,) = _made(pipeline(tmp_path, [SHOUT], rows=[{"id": "1", "text": "x" * 50_000}]))["rows"]
    assert [len(text["text"]) for text in card["texts"]] == [4001, 4001]


def test_the_page_is_in_the_metadata_of_results(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT]))
    assert told(result, "demo", "results")["gallery"] == str(tmp_path / "demo/out/gallery.html")
    assert "gallery" not in told(result, "demo", "texts")


def test_a_clip_has_a_small_poster_beside_the_page(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "red", "video": "a b.mp4"}, {"id": "2", "video": "gone.mp4"}]
    source = write_video(tmp_path / "in/a b.mp4", 8, size=(1280, 720))
    of = pipeline(tmp_path, [FILM], rows=rows, meta_folder=str(tmp_path / "in"))
    first, second = _made(of)["rows"]
    given, made = first["media"]
    assert (given["kind"], given["at"]) == ("video", "../../in/a%20b.mp4")
    assert (made["label"], made["kind"]) == ("generated_videos", "video")
    saved = Path(of.save_folder)
    assert (saved / unquote(made["at"])).is_file()
    with Image.open(saved / given["poster"]) as poster:
        assert poster.size == (480, 270)
    with Image.open(saved / made["poster"]) as poster:
        assert poster.size == (48, 32)
    assert "poster" not in second["media"][0]
    kept = {path: path.stat().st_mtime_ns for path in (saved / "gallery_posters").iterdir()}
    assert len(kept) == 2
    write_rows(tmp_path / "demo/in.jsonl", rows[:1])
    _made(of)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    source.unlink()
    write_rows(tmp_path / "demo/in.jsonl", [{"id": "1", "text": "red"}])
    _made(of)
    left = [path.name for path in (saved / "gallery_posters").iterdir()]
    assert len(left) == 1


def test_a_page_has_so_many_posters_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflow_dagster.gallery.posters.MOST_POSTERS", 2)
    rows = [{"id": str(number), "video": f"{number % 4}.mp4"} for number in range(8)]
    for number in range(4):
        write_video(tmp_path / f"in/{number}.mp4", 2 + number)
    of = pipeline(tmp_path, [WATCH], rows=rows, meta_folder=str(tmp_path / "in"))
    cards = _made(of)["rows"]
    assert ["poster" in card["media"][0] for card in cards] == [True, True, False, False] * 2
    assert len(list((Path(of.save_folder) / "gallery_posters").iterdir())) == 2
