from typing import Any

import pytest

from dataflow_dagster.models.flux import FLUXGenerator
from dataflow_dagster.models.llava import LLaVACaptioner
from dataflow_dagster.schema.agreement import clashes
from dataflow_dagster.schema.errors import KeyPath


@pytest.mark.parametrize(
    ("root", "at", "words"),
    [
        ({"image_key": "text"}, ("image_key",), "is 'text', as text_key is"),
        ({"text_key": "a", "video_key": "a"}, ("video_key",), "as text_key is"),
        ({"shards_per_run": 2}, ("shards_per_run",), "'shards' or 'files_per_shard' too"),
        ({"steps": [{"asset": "results"}, {}]}, ("steps", 0, "asset"), "a name of ours"),
        ({"steps": [{"asset": "text"}, {}]}, ("steps", 0, "asset"), "a name of ours"),
        (
            {"steps": [{"asset": "a"}, {"asset": "a"}]},
            ("steps", 1, "asset"),
            "'a' is the asset of step 1 already",
        ),
        (
            {"steps": [{"output_key": "a"}, {"output_key": "a"}]},
            ("steps", 1, "output_key"),
            "'a' holds the answer of step 1 already",
        ),
        ({"shards": 2, "files_per_shard": 1}, ("files_per_shard",), "exclude each other"),
        ({"timezone": "UTC"}, ("timezone",), "neither is given"),
        ({"steps": [{"output_key": "image"}, {}]}, ("steps", 0, "output_key"), "image_key"),
        ({"id_key": "n", "steps": [{}, {"output_key": "n"}]}, ("steps", 1, "output_key"), "id_key"),
    ],
)
def test_keys_that_contradict_each_other_are_told(
    root: dict[str, Any], at: KeyPath, words: str
) -> None:
    ((where, message),) = clashes({"steps": [{}, {}], **root}, [LLaVACaptioner, FLUXGenerator])
    assert where == at
    assert words in message


@pytest.mark.parametrize(
    "root",
    [
        {},
        {"shards": 3, "shards_per_run": 2},
        {"image_key": "text", "text_key": "image"},
        {"id_key": "image"},
        {"steps": [{"output_key": "text"}, {"output_key": "image"}]},
        {"steps": [3, None]},
        {"image_key": 3, "text_key": [], "id_key": {}},
    ],
)
def test_keys_that_agree_or_are_wrong_in_themselves_are_left_alone(root: dict[str, Any]) -> None:
    models = [LLaVACaptioner, FLUXGenerator]
    assert list(clashes({"steps": [{}, {}], **root}, models)) == []
