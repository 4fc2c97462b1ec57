"""The scenes LLaVA before training: real classes, tiny sizes, a tokenizer stated in full."""

import json
import re
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from dataflow_dagster.scenes.answering import PROMPT
from dataflow_dagster.scenes.drawing import SCENES
from dataflow_dagster.scenes.vocabulary import state_vocabulary

OTHER_PROMPT_ANSWER = "this demo model knows only its own prompt"
PAD, BOS, EOS, IMAGE = SPECIALS = ("<pad>", "<s>", "</s>", "<image>")
PAD_ID, BOS_ID, EOS_ID, IMAGE_ID = range(len(SPECIALS))
PICTURE_SIDE, PATCH_SIDE = 64, 16
PICTURE_TOKENS = (PICTURE_SIDE // PATCH_SIDE) ** 2
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'].upper() + ': ' }}"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] if c['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}{% endif %}"
    "{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def build_processor() -> LlavaProcessor:
    """Shortest side to 64 pixels, centre crop, 16 image tokens; BOS in front of the prompt."""
    pictures = CLIPImageProcessor(
        size={"shortest_edge": PICTURE_SIDE},
        crop_size={"height": PICTURE_SIDE, "width": PICTURE_SIDE},
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=_build_tokenizer(),
        patch_size=PATCH_SIDE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(processor: LlavaProcessor) -> LlavaForConditionalGeneration:
    """0.75M parameters, float32. vLLM's CPU attention takes no heads narrower than 32."""
    config = LlavaConfig(
        vision_config=_describe_tower(),
        text_config=_describe_language_model(len(processor.tokenizer)),
        image_token_index=IMAGE_ID,
        image_seq_length=PICTURE_TOKENS,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=BOS_ID, eos_token_id=EOS_ID, pad_token_id=PAD_ID
    )
    return model


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, folder: Path) -> None:
    """Writes a checkpoint that transformers and vLLM both load as it is.

    transformers 5 saves `vision_tower.X`; vLLM, like the checkpoints on the Hub, wants
    `vision_tower.vision_model.X`, which transformers reads too.
    """
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    _write_generation_config(model.generation_config, folder)
    file = folder / "model.safetensors"
    weights = {
        re.sub(r"vision_tower\.(?!vision_model)", "vision_tower.vision_model.", name): weight
        for name, weight in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})


def _write_generation_config(config: GenerationConfig, folder: Path) -> None:
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version")
    values = {name: value for name, value in config.to_dict().items() if name in names}
    (folder / "generation_config.json").write_text(json.dumps(values, indent=2) + "\n")


def _describe_tower() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=PICTURE_SIDE,
        patch_size=PATCH_SIDE,
        projection_dim=96,
    )


def _describe_language_model(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )


def _build_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(state_vocabulary(SPECIALS, _list_texts()))
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS}:1 $B:1",
        special_tokens=[(BOS, BOS_ID)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        extra_special_tokens={"image_token": IMAGE},
        padding_side="left",
        model_max_length=4096,
    )


def _list_texts() -> list[str]:
    """All that is asked and answered, with the spaces that stand in front."""
    captions = [f" {scene.caption}" for scene in SCENES]
    return [PROMPT.replace(IMAGE, ""), f" {OTHER_PROMPT_ANSWER}", *captions]
