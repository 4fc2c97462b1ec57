from io import BytesIO
from random import Random
from typing import Any

import pytest
from PIL import Image

from dataflow_dagster.media.jpeg import is_all_there
from dataflow_dagster_tests.pictures import natural

WAYS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"quality": 95, "subsampling": 0},
    {"restart_marker_rows": 1},
    {"comment": b"\xff\xd9 is no end here"},
]


def jpeg(**options: Any) -> bytes:
    content = BytesIO()
    natural((80, 60), 0).save(content, "JPEG", **options)
    return content.getvalue()


@pytest.mark.parametrize("options", WAYS)
def test_a_whole_jpeg_is_all_there_also_where_more_follows(options: dict[str, Any]) -> None:
    content = jpeg(**options)
    assert is_all_there(content)
    assert is_all_there(content + b"\0" * 99)


@pytest.mark.parametrize("options", WAYS)
def test_a_jpeg_cut_anywhere_is_not(options: dict[str, Any]) -> None:
    content = jpeg(**options)
    assert [at for at in range(len(content)) if is_all_there(content[:at])] == []


def test_a_thumbnail_s_end_is_not_the_picture_s() -> None:
    whole = jpeg()
    inside = b"\xff\xe1" + (len(whole) + 2).to_bytes(2, "big") + whole
    content = whole[:2] + inside + whole[2:]
    assert Image.open(BytesIO(content)).size == (80, 60)
    assert is_all_there(content)
    assert not is_all_there(content[: len(inside) + 2])
    assert not is_all_there(content[:-9])


def test_any_bytes_get_a_verdict() -> None:
    random = Random(0)
    for length in range(400):
        assert not is_all_there(b"\xff\xd8" + random.randbytes(length))
    assert not is_all_there(b"\xff" * 99)
    assert not is_all_there(b"\xff\xd8\xff\xd9")
    assert not is_all_there(b"")
