"""Tiny checkpoints of the captioners' architectures, random but real, each built in a second."""

from pathlib import Path
from typing import Any

import transformers as hf

from dataflow_dagster_tests.engines.checkpoints.parts import (
    HEADS,
    PATCH,
    SIDE,
    VOCABULARY,
    WIDER,
    WIDTH,
    language_model,
    save,
    tokenizer,
    tower,
)

ON_THE_HUB = {"vision_tower.": "vision_tower.vision_model."}
GRID = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
SQUARE = {"height": SIDE, "width": SIDE}
FINE = 7
"""Pixels of a patch; vLLM's LLaVA-NeXT-Video divides by SIDE // FINE**2, which may not be 0."""
CHAT = (
    "{{ bos_token or '' }}{% for m in messages %}{{ '[' + m['role'] + ']' }}"
    "{% for c in m['content'] %}{{ MEDIA[c['type']] if c['type'] in MEDIA else c['text'] }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ '[answer]' }}{% endif %}"
)


def chat(picture: str, clip: str | None = None) -> str:
    media = {"image": picture} if clip is None else {"image": picture, "video": clip}
    return CHAT.replace("MEDIA", repr(media))


def blip2(folder: Path) -> str:
    words = tokenizer(["<image>"], bos="</s>", eos="</s>", pad="<pad>")
    vision = tower()
    config = hf.Blip2Config(
        vision_config=vision,
        qformer_config={
            **tower(vocab_size=64, encoder_hidden_size=WIDTH, cross_attention_frequency=2)
        },
        text_config=hf.OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            word_embed_proj_dim=WIDTH,
            ffn_dim=WIDER,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            max_position_embeddings=2048,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
            tie_word_embeddings=False,
        ).to_dict(),
        num_query_tokens=8,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    pictures = hf.BlipImageProcessorPil(size=SQUARE)
    processor = hf.Blip2Processor(pictures, words, num_query_tokens=8)
    return save(hf.Blip2ForConditionalGeneration(config), processor, folder)


def llava_next(folder: Path) -> str:
    words = tokenizer(["<image>"], bos="<s>", eos="</s>", pad="<pad>")
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**tower(projection_dim=WIDTH)).to_dict(),
        text_config=hf.MistralConfig(
            **language_model(words, head_dim=32, sliding_window=None)
        ).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_grid_pinpoints=GRID,
        image_seq_length=(SIDE // PATCH) ** 2,
        tie_word_embeddings=False,
    )
    pictures = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size=SQUARE, image_grid_pinpoints=GRID
    )
    processor = hf.LlavaNextProcessor(
        pictures,
        words,
        patch_size=PATCH,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=chat("<image>\n"),
    )
    return save(hf.LlavaNextForConditionalGeneration(config), processor, folder, renamed=ON_THE_HUB)


def llava_next_video(folder: Path) -> str:
    words = tokenizer(["<image>", "<video>"], bos="<s>", eos="</s>", pad="<pad>")
    config = hf.LlavaNextVideoConfig(
        vision_config=hf.CLIPVisionConfig(**tower(projection_dim=WIDTH, patch_size=FINE)).to_dict(),
        text_config=hf.LlamaConfig(**language_model(words)).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_grid_pinpoints=GRID,
        spatial_pool_stride=2,
        image_seq_length=(SIDE // FINE) ** 2,
        video_seq_length=(SIDE // FINE) ** 2 // 4,
    )
    shorter = {"shortest_edge": SIDE}
    processor = hf.LlavaNextVideoProcessor(
        hf.LlavaNextVideoVideoProcessor(size=shorter, crop_size=SQUARE),
        hf.LlavaNextImageProcessorPil(size=shorter, crop_size=SQUARE, image_grid_pinpoints=GRID),
        words,
        patch_size=FINE,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=chat("<image>\n", "<video>\n"),
    )
    return save(
        hf.LlavaNextVideoForConditionalGeneration(config), processor, folder, renamed=ON_THE_HUB
    )


def llava_onevision(folder: Path) -> str:
    words = tokenizer(["<image>", "<video>", "<|im_start|>"], eos="<|im_end|>", pad="<pad>")
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**tower(vision_use_head=False)).to_dict(),
        text_config=hf.Qwen2Config(**language_model(words)).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        image_grid_pinpoints=GRID,
        tie_word_embeddings=False,
    )
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessorPil(size=SQUARE, image_grid_pinpoints=GRID),
        words,
        hf.LlavaOnevisionVideoProcessor(size=SQUARE),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        chat_template=chat("<image>\n", "<video>\n"),
    )
    return save(
        hf.LlavaOnevisionForConditionalGeneration(config), processor, folder, renamed=ON_THE_HUB
    )


def qwen2_vl(folder: Path) -> str:
    return _qwen(
        folder, hf.Qwen2VLConfig, hf.Qwen2VLProcessor, {"embed_dim": WIDTH, "mlp_ratio": 2}
    )


def qwen2_5_vl(folder: Path) -> str:
    """No named model's: clips in which it is told how long a frame shows."""
    vision = {
        "intermediate_size": WIDER,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 4,
    }
    return _qwen(folder, hf.Qwen2_5_VLConfig, hf.Qwen2_5_VLProcessor, vision)


def _qwen(folder: Path, config: Any, processor: Any, vision: dict[str, Any]) -> str:
    names = ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = tokenizer(names, eos="<|im_end|>", pad="<pad>")
    _, starts, ends, picture, video = words.convert_tokens_to_ids(names)
    rope = {
        "rope_type": "default",
        "type": "mrope",
        "mrope_section": [4, 6, 6],
        "rope_theta": 1e6,
    }
    of = config(
        text_config=language_model(words, rope_parameters=rope),
        vision_config={
            "depth": 2,
            "hidden_size": WIDTH,
            "num_heads": HEADS,
            "patch_size": PATCH,
            **vision,
        },
        image_token_id=picture,
        video_token_id=video,
        vision_start_token_id=starts,
        vision_end_token_id=ends,
        tie_word_embeddings=False,
    )
    size = {"shortest_edge": 56 * 56, "longest_edge": 224 * 224}
    reads = processor(
        hf.Qwen2VLImageProcessorPil(size=size),
        words,
        hf.Qwen2VLVideoProcessor(size=size),
        chat_template=chat(
            "<|vision_start|><|image_pad|><|vision_end|>",
            "<|vision_start|><|video_pad|><|vision_end|>",
        ),
    )
    return save(hf.AutoModelForImageTextToText.from_config(of), reads, folder)


def mllama(folder: Path) -> str:
    words = tokenizer(["<|image|>"], bos="<|begin_of_text|>", eos="<|eot_id|>", pad="<pad>")
    config = hf.MllamaConfig(
        vision_config={
            "hidden_size": WIDTH,
            "intermediate_size": WIDER,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": HEADS,
            "image_size": SIDE,
            "patch_size": PATCH,
            "max_num_tiles": 4,
            "intermediate_layers_indices": [0, 1],
            "vision_output_dim": 3 * WIDTH,
        },
        text_config=language_model(words, num_hidden_layers=4, cross_attention_layers=[1, 3]),
        image_token_index=words.convert_tokens_to_ids("<|image|>"),
        tie_word_embeddings=False,
    )
    pictures = hf.MllamaImageProcessorPil(size=SQUARE, max_image_tiles=4)
    processor = hf.MllamaProcessor(pictures, words, chat_template=chat("<|image|>"))
    return save(hf.MllamaForConditionalGeneration(config), processor, folder)
