"""The scenes FLUX before training: real classes, tiny sizes, tokenizers stated in full.

Trainers of tokenizers number their pieces differently in every process; stated vocabularies make
two builds equal.
"""

# diffusers types its tuples as of one element, its outputs as plain tensors, and exports lazily.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportPrivateImportUsage=false

import re
import string

from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from tokenizers import pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from dataflow_dagster.scenes.drawing import SCENES

HEADS, HEAD_SIZE = 4, 32
CLIP_SIZE, T5_SIZE = 32, 64
LATENT_CHANNELS = 8
WORDS = tuple(
    sorted(
        {word for scene in SCENES for word in scene.caption.split()},
        key=lambda word: (-len(word), word),
    )
)
"""Longest first: `red` must not claim the `re` of `green`, so its merges have to come later."""


def build_pipeline(vae: AutoencoderKL) -> FluxPipeline:
    """1.9M parameters beside the autoencoder's, float32."""
    clip_tokenizer, t5_tokenizer = _build_clip_tokenizer(), _build_t5_tokenizer()
    return FluxPipeline(
        scheduler=_build_scheduler(),
        vae=vae,
        text_encoder=_build_clip(clip_tokenizer),
        tokenizer=clip_tokenizer,
        text_encoder_2=_build_t5(len(t5_tokenizer)),
        tokenizer_2=t5_tokenizer,
        transformer=_build_transformer(),
    )


def _build_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """The published FLUX.1-dev's settings.

    https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/scheduler/scheduler_config.json
    """
    return FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def _build_transformer() -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=4 * LATENT_CHANNELS,
        num_layers=2,
        num_single_layers=2,
        num_attention_heads=HEADS,
        attention_head_dim=HEAD_SIZE,
        joint_attention_dim=T5_SIZE,
        pooled_projection_dim=CLIP_SIZE,
        guidance_embeds=True,
        axes_dims_rope=(8, 12, 12),
    )


def _build_clip(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=CLIP_SIZE,
        intermediate_size=2 * CLIP_SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=CLIP_SIZE,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def _build_t5(vocabulary: int) -> T5EncoderModel:
    config = T5Config(
        vocab_size=vocabulary,
        d_model=T5_SIZE,
        d_kv=16,
        d_ff=2 * T5_SIZE,
        num_layers=1,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
    )
    return T5EncoderModel(config)


def _build_clip_tokenizer() -> CLIPTokenizer:
    """256 bytes, the same at a word's end, then one left-to-right chain of merges a word."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = letters + [f"{letter}</w>" for letter in letters]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        head, *rest = re.findall(r".</w>|.", f"{word}</w>")
        for piece in rest:
            merges.setdefault((head, piece))
            head += piece
            vocabulary.setdefault(head, len(vocabulary))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=list(merges), model_max_length=77)


def _build_t5_tokenizer() -> T5Tokenizer:
    """Whole words are likely pieces, single printable characters the fall-back."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [(f"▁{word}", -4.0) for word in sorted(WORDS)] + [("▁", -9.0)]
    pieces += [(letter, -9.5) for letter in sorted(set(string.printable) - set(string.whitespace))]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)
