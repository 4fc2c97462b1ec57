"""A tiny Phi-3-vision: vLLM sizes its picture tower itself, all but the number of its layers."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
)

from dataflow_dagster_tests.engines.checkpoints.parts import (
    WIDTH,
    language_model,
    set_weights,
    silence,
    tokenizer,
)

CODE = Path(__file__).with_name("phi3v_code")
PROCESSOR = "processing_phi3_v.Phi3VProcessor"
PICTURE_PART = "model.vision_embed_tokens"
PICTURES = "processing_phi3_v.Phi3VImageProcessor"


TOWER_WIDTH = 1024
"""Of CLIP's ViT-L/14 at 336 pixels, as vLLM has it."""


def phi3v(folder: Path) -> str:
    """One layer of the tower, two of the language model; weights under the Hub's names."""
    folder.mkdir(parents=True)
    for file in CODE.glob("*_phi3_v.py"):
        shutil.copy(file, folder)
    specials = ["<|user|>", "<|end|>", "<|assistant|>", "<|image|>"]
    words = tokenizer(specials, bos="<s>", eos="<|endoftext|>", pad="<|pad|>")
    words.save_pretrained(folder)
    config = {
        **language_model(words, vocab_size=32064),  # vLLM's picture token is 32044
        "architectures": ["Phi3VForCausalLM"],
        "model_type": "phi3_v",
        "auto_map": {
            "AutoConfig": "configuration_phi3_v.Phi3VConfig",
            "AutoProcessor": PROCESSOR,
        },
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "sliding_window": None,
        "dtype": "float32",
        "embd_layer": {
            "embedding_cls": "image",
            "hd_transform_order": "sub_glb",
            "projection_cls": "mlp",
            "use_hd_transform": True,
            "with_learnable_separator": True,
        },
        "img_processor": {
            "name": "clip_vision_model",
            "model_name": "openai/clip-vit-large-patch14-336",
            "image_dim_out": TOWER_WIDTH,
            "num_img_tokens": 144,
            "layer_idx": 0,  # the last layer that vLLM builds
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    pictures = {
        "auto_map": {"AutoProcessor": PROCESSOR, "AutoImageProcessor": PICTURES},
        "image_processor_type": "Phi3VImageProcessor",
        "processor_class": "Phi3VProcessor",
        "num_crops": 1,
        "num_img_tokens": 144,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    save_file(_weights(words, config), folder / "model.safetensors", {"format": "pt"})
    return str(folder)


def _weights(words: PreTrainedTokenizerFast, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    sizes = {name: value for name, value in config.items() if name not in ("auto_map", "dtype")}
    language = Phi3ForCausalLM(Phi3Config(**sizes))
    tower = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=TOWER_WIDTH,
            intermediate_size=4 * TOWER_WIDTH,
            num_attention_heads=16,
            num_hidden_layers=1,
            image_size=336,
            patch_size=14,
        )
    )
    own = torch.Generator().manual_seed(0)
    for model, spread in ((language, 0.3), (tower, 0.03)):
        set_weights(model, own, spread)
    silence(language.lm_head.weight, words)
    merged = 4 * TOWER_WIDTH
    return {
        **language.state_dict(),
        **{
            f"{PICTURE_PART}.img_processor.vision_model.{name.removeprefix('vision_model.')}": value
            for name, value in tower.state_dict().items()
            if "post_layernorm" not in name and "position_ids" not in name
        },
        f"{PICTURE_PART}.glb_GN": torch.zeros(1, 1, merged),
        f"{PICTURE_PART}.sub_GN": torch.zeros(1, 1, 1, merged),
        f"{PICTURE_PART}.img_projection.0.weight": torch.randn(WIDTH, merged, generator=own),
        f"{PICTURE_PART}.img_projection.0.bias": torch.zeros(WIDTH),
        f"{PICTURE_PART}.img_projection.2.weight": torch.randn(WIDTH, WIDTH, generator=own),
        f"{PICTURE_PART}.img_projection.2.bias": torch.zeros(WIDTH),
    }
