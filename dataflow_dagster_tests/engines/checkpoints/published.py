"""Published architectures with random weights: at their full size, or the same scaled down.

Numbers of ``full`` are those of the models' own ``config.json`` on the Hub; tokenizers are the tiny
ones of `parts`, so that nothing is downloaded.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import transformers as hf

from dataflow_dagster_tests.engines.checkpoints.parts import save, tokenizer
from dataflow_dagster_tests.engines.checkpoints.vision_language import ON_THE_HUB, chat

Size = Literal["tiny", "small", "full"]
"""tiny: for a test; small: an engine busy for some tenths of a second; full: as published."""
Build = Callable[[], Any]

LANGUAGE: dict[str, dict[Size, dict[str, int]]] = {
    "llama": {
        "tiny": {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 128}
        | {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2},
        "small": {"vocab_size": 320, "hidden_size": 512, "intermediate_size": 1376}
        | {"num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 8},
        # https://huggingface.co/llava-hf/llava-1.5-7b-hf/blob/main/config.json
        "full": {"vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 11008}
        | {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32},
    },
    "qwen2": {
        "tiny": {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 128}
        | {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1},
        # https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct/blob/main/config.json
        "full": {"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944}
        | {"num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4},
    },
}

TOWER: dict[Size, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    | {"num_attention_heads": 2, "image_size": 56, "patch_size": 14},
    "small": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6}
    | {"num_attention_heads": 4, "image_size": 112, "patch_size": 14},
    # https://huggingface.co/openai/clip-vit-large-patch14-336/blob/main/config.json
    "full": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
    | {"num_attention_heads": 16, "image_size": 336, "patch_size": 14},
}


def llava(folder: Path, size: Size) -> str:
    """LLaVA 1.5: 7 billion weights, 14 GB in bfloat16; 576 tokens a picture."""
    words = tokenizer(["<image>"], bos="<s>", eos="</s>", pad="<pad>")
    seen = TOWER[size]
    text = hf.LlamaConfig(**LANGUAGE["llama"][size], **_ids(words), max_position_embeddings=4096)
    side = seen["image_size"]
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**seen, projection_dim=seen["hidden_size"]).to_dict(),
        text_config=text.to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=(side // seen["patch_size"]) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    pictures = hf.CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    processor = hf.LlavaProcessor(
        pictures,
        words,
        patch_size=seen["patch_size"],
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=chat("<image>\n"),
    )
    build = _made(lambda: hf.LlavaForConditionalGeneration(config), size)
    return save(build, processor, folder, renamed=ON_THE_HUB, spread=_spread(text))


def qwen2_vl(folder: Path, size: Size) -> str:
    """Qwen2-VL: 8 billion weights, 17 GB in bfloat16; a token for every 28 x 28 pixels."""
    names = ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = tokenizer(names, eos="<|im_end|>", pad="<pad>")
    _, starts, ends, picture, video = words.convert_tokens_to_ids(names)
    full = size == "full"
    text = {**LANGUAGE["qwen2"][size], **_ids(words), "max_position_embeddings": 32768}
    sections = [16, 24, 24] if full else [4, 6, 6]
    rope = {"rope_type": "default", "type": "mrope", "mrope_section": sections, "rope_theta": 1e6}
    tower = {"depth": 32, "embed_dim": 1280, "num_heads": 16} if full else {}
    tiny = {"depth": 2, "embed_dim": 64, "num_heads": 2, "mlp_ratio": 2}
    config = hf.Qwen2VLConfig(
        text_config={**text, "rope_parameters": rope, "tie_word_embeddings": False},
        vision_config={**(tower or tiny), "hidden_size": text["hidden_size"], "patch_size": 14},
        image_token_id=picture,
        video_token_id=video,
        vision_start_token_id=starts,
        vision_end_token_id=ends,
        tie_word_embeddings=False,
    )
    seen = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 16384 if full else 224 * 224}
    processor = hf.Qwen2VLProcessor(
        hf.Qwen2VLImageProcessorPil(size=seen),
        words,
        hf.Qwen2VLVideoProcessor(size=seen),
        chat_template=chat("<|vision_start|><|image_pad|><|vision_end|>"),
    )
    build = _made(lambda: hf.Qwen2VLForConditionalGeneration(config), size)
    return save(build, processor, folder, spread=_spread(config.get_text_config()))


def _ids(words: Any) -> dict[str, Any]:
    return {
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "tie_word_embeddings": False,
    }


def _spread(text: Any) -> float:
    """That keeps what a layer gives as large as what it takes."""
    return 1.2 / text.hidden_size**0.5


def _made(build: Build, size: Size) -> Any:
    """`build`'s model; at full size on the GPU and in bfloat16, where it is made in seconds."""
    if size != "full":
        return build()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            return build()
    finally:
        torch.set_default_dtype(before)
