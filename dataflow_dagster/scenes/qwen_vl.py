"""The scenes Qwen2-VL before training: real classes, tiny sizes, a tokenizer stated in full."""

from pathlib import Path
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from dataflow_dagster.scenes.moving import MOVING
from dataflow_dagster.scenes.vocabulary import state_vocabulary

QUESTION: Final = "Please describe the video in detail."
"""QwenVLCaptioner's default prompt for clips; the only one the scenes Qwen2-VL was trained on."""
PAD, END, START, LOOK, LOOKED, PICTURE, CLIP = SPECIALS = (
    *("<pad>", "<|im_end|>", "<|im_start|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
)
PATCH, MERGED, TOGETHER = 14, 2, 2
"""Pixels of a patch's side; patches of a token's side; frames of a patch."""
SIDE = 56
"""Pixels of a frame's side as the tower sees it: four patches, of which two make a token's side."""
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}<|vision_start|>"
    "{{ '<|video_pad|>' if c['type'] == 'video' else '<|image_pad|>' }}<|vision_end|>{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2-VL's own, but for the system's turn.

Source: https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct/blob/main/chat_template.json
"""


def build_processor() -> Qwen2VLProcessor:
    """Every frame becomes 56 x 56 pixels, if it is about square; two together are 4 tokens."""
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    return Qwen2VLProcessor(
        Qwen2VLImageProcessorPil(size=size),
        _build_tokenizer(),
        Qwen2VLVideoProcessor(size=size),
        chat_template=TEMPLATE,
    )


def build_model(processor: Qwen2VLProcessor) -> Qwen2VLForConditionalGeneration:
    """0.70M parameters, float32. vLLM's CPU attention takes no heads narrower than 32."""
    pad, end, _, look, looked, picture, clip = range(len(SPECIALS))
    config = Qwen2VLConfig(
        text_config=_describe_language_model(len(processor.tokenizer)),
        vision_config={
            "depth": 3,
            "embed_dim": 64,
            "hidden_size": 128,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": PATCH,
            "spatial_merge_size": MERGED,
            "temporal_patch_size": TOGETHER,
        },
        image_token_id=picture,
        video_token_id=clip,
        vision_start_token_id=look,
        vision_end_token_id=looked,
        tie_word_embeddings=False,
    )
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    return model


def save(model: Qwen2VLForConditionalGeneration, processor: Qwen2VLProcessor, folder: Path) -> None:
    """Writes a checkpoint that transformers and vLLM both load as it is."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _describe_language_model(vocabulary: int) -> dict[str, object]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": SPECIALS.index(END),
        "pad_token_id": SPECIALS.index(PAD),
        "rope_parameters": {
            "rope_type": "default",
            "type": "mrope",
            "mrope_section": [4, 6, 6],
            "rope_theta": 1e4,
        },
    }


def _build_tokenizer() -> PreTrainedTokenizerFast:
    turns = ["user", "assistant", QUESTION, *(moving.caption for moving in MOVING)]
    tokenizer = Tokenizer(state_vocabulary(SPECIALS, turns))
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(SPECIALS[2:]),
        padding_side="left",
        model_max_length=4096,
    )
