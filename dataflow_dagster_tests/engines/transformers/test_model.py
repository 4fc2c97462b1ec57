import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.transformers.model import token_limit
from dataflow_dagster_tests.engines.requests import language

# https://huggingface.co/llava-hf/LLaVA-NeXT-Video-7B-hf/blob/main/config.json, but for its sizes
ROPE = {"factor": 2.5, "type": "linear"}
TEXT = {"max_position_embeddings": 4096, "hidden_size": 8, "intermediate_size": 8}
TEXT |= {"num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}


def model_with(folder: Path, rope: dict[str, Any] | None) -> Any:
    """A LLaVA-NeXT-Video without weights, its configuration read from a file as the Hub's is."""
    config = hf.LlavaNextVideoConfig(
        text_config={"model_type": "llama", **TEXT},
        vision_config={"model_type": "clip_vision_model", "hidden_size": 8, "intermediate_size": 8}
        | {"num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 28, "patch_size": 14},
    )
    config.save_pretrained(folder)
    file = folder / "config.json"
    written = json.loads(file.read_text())
    written["text_config"] = {"model_type": "llama", **TEXT, "rope_scaling": rope}
    file.write_text(json.dumps(written))
    with torch.device("meta"):
        return hf.LlavaNextVideoForConditionalGeneration(hf.AutoConfig.from_pretrained(folder))


@pytest.mark.parametrize(("rope", "most"), [(None, 4096), (ROPE, 10_240)])
def test_linear_rope_makes_a_context_as_many_times_as_long(
    rope: dict[str, Any] | None, most: int, tmp_path: Path
) -> None:
    model = model_with(tmp_path, rope)
    assert token_limit(model, language(max_model_len=None)) == most
    assert token_limit(model, language(max_model_len=100)) == 100
    with pytest.raises(UnfitSettingError, match=f"at most {most}"):
        token_limit(model, language(max_model_len=most + 1))
