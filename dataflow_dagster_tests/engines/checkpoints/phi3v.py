"""A Phi-3-vision without weights: vLLM builds its picture tower, 300 million, whatever we say."""

import json
import shutil
from pathlib import Path

from dataflow_dagster_tests.engines.checkpoints.parts import language_model, tokenizer

CODE = Path(__file__).with_name("phi3v_code")
PROCESSOR = "processing_phi3_v.Phi3VProcessor"
PICTURES = "processing_phi3_v.Phi3VImageProcessor"


def phi3v(folder: Path) -> str:
    """To be loaded with ``load_format="dummy"``."""
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
            "image_dim_out": 1024,
            "num_img_tokens": 144,
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
    return str(folder)
