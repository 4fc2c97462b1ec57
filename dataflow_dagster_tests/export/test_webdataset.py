import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from dataflow_dagster.export.webdataset import safe_key
from dataflow_dagster_tests.export.exports import captioned_and_drawn, write
from dataflow_dagster_tests.steps.driving import Ground, draw, step


def test_its_own_library_reads_pictures_captions_and_rows(ground: Ground, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    pipeline = captioned_and_drawn(ground)
    write(pipeline, tmp_path / "cats", "webdataset", which="both", rows_per_file=2)
    tars = str(tmp_path / "cats/shard-{000000..000001}.tar")
    found = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in found] == ["cat-0", "cat-1", "cat-2", "cat-4"]
    first = found[0]
    assert first["txt"] == first["json"]["text"] == "4x4 (255, 0, 0)"
    assert first["source.png"].getpixel((0, 0)) == (255, 0, 0)
    drawn = Image.open(ground.folder / "out/generated_images/0_generated.png").convert("RGB")
    assert first["png"].tobytes() == drawn.tobytes()
    assert first["json"]["dataflow_source_image"] == "0.png"


def test_the_source_takes_the_place_of_the_drawn_picture_where_that_is_asked(
    ground: Ground, tmp_path: Path
) -> None:
    webdataset = pytest.importorskip("webdataset")
    write(captioned_and_drawn(ground), tmp_path / "cats", "webdataset", which="source")
    tar = str(tmp_path / "cats/shard-000000.tar")
    first = next(iter(webdataset.WebDataset(tar, shardshuffle=False).decode("pil")))
    assert first["png"].getpixel((0, 0)) == (255, 0, 0)
    assert first["json"]["image"] == "0.png"
    assert "dataflow_source_image" not in first["json"]


def test_headers_hold_neither_times_nor_owners(ground: Ground, tmp_path: Path) -> None:
    write(captioned_and_drawn(ground), tmp_path / "cats", "webdataset")
    with tarfile.open(tmp_path / "cats/shard-000000.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}


def test_rows_of_one_picture_have_keys_of_their_own(ground: Ground, tmp_path: Path) -> None:
    draw(ground.source / "a.png")
    ground.rows({"id": "a/b.c", "image": "a.png"}, {"id": "é" * 300, "image": "a.png"})
    pipeline = ground.run(step("Look", repeat_time=3)).pipeline
    write(pipeline, tmp_path / "cats", "webdataset")
    with tarfile.open(tmp_path / "cats/shard-000000.tar") as tar:
        names = tar.getnames()
    keys = {name.split(".")[0] for name in names}
    assert len(keys) == 6
    assert sorted(names) == sorted(f"{k}.{end}" for k in keys for end in ("png", "txt", "json"))


@pytest.mark.parametrize("plain", ["cat-1", "0", "a_b", "f" * 32])
def test_a_plain_id_is_its_own_key(plain: str) -> None:
    assert safe_key(plain) == plain


def test_no_two_ids_share_a_key() -> None:
    made = safe_key("a/b")
    ids = ["a/b", "a.b", "a b", "a_b", "a_b#0", made, "A/B", "x" * 64, "x" * 65, "", "é", "\ud800"]
    keys = [safe_key(given) for given in ids]
    assert len({key.casefold() for key in keys}) == len(ids)
    assert all(len(key) <= 80 and "." not in key and "/" not in key for key in keys)


def test_what_a_file_is_called_does_not_decide_what_it_is(ground: Ground, tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "JPEG")
    (ground.source / "a.PNG").write_bytes(content.getvalue())
    ground.rows({"id": "a", "image": "a.PNG"})
    write(ground.run(step("Look")).pipeline, tmp_path / "cats", "webdataset")
    with tarfile.open(tmp_path / "cats/shard-000000.tar") as tar:
        assert tar.getnames() == ["a.jpg", "a.txt", "a.json"]
