"""FLUX.1 and Stable Diffusion 3.5 with random weights: at their full size, or scaled down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)

from dataflow_dagster_tests.engines.checkpoints.published import Size
from dataflow_dagster_tests.engines.requests import FLUX

# https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/transformer/config.json
FLUX_TRANSFORMER: dict[Size, dict[str, Any]] = {
    "tiny": {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2}
    | {"attention_head_dim": 32, "axes_dims_rope": (8, 12, 12)},
    "small": {"num_layers": 4, "num_single_layers": 4, "num_attention_heads": 4}
    | {"attention_head_dim": 64, "axes_dims_rope": (16, 24, 24)},
    "full": {"num_layers": 19, "num_single_layers": 38, "num_attention_heads": 24}
    | {"attention_head_dim": 128, "axes_dims_rope": (16, 56, 56)},
}
# https://huggingface.co/stabilityai/stable-diffusion-3.5-large/blob/main/transformer/config.json
SD3_TRANSFORMER: dict[Size, dict[str, Any]] = {
    "tiny": {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 32},
    "full": {"num_layers": 38, "num_attention_heads": 38, "attention_head_dim": 64},
}
VAE: dict[Size, dict[str, Any]] = {
    "tiny": {"block_out_channels": (16, 16, 32, 32), "layers_per_block": 1, "norm_num_groups": 8},
    "small": {"block_out_channels": (16, 32, 64, 64), "layers_per_block": 1, "norm_num_groups": 8},
    "full": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
}
CLIP_L: dict[Size, tuple[int, int, int]] = {
    "tiny": (32, 1, 2),
    "small": (64, 2, 2),
    "full": (768, 12, 12),
}
"""Width, layers, heads."""
CLIP_G: dict[Size, tuple[int, int, int]] = {"tiny": (32, 1, 2), "full": (1280, 32, 20)}
T5: dict[Size, dict[str, int]] = {
    "tiny": {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 1, "num_heads": 4},
    "small": {"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_heads": 4},
    # https://huggingface.co/google/t5-v1_1-xxl/blob/main/config.json
    "full": {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
}


def flux(folder: Path, size: Size) -> str:
    """FLUX.1 [dev]: 12 billion weights and 5 of its text encoders, 34 GB in bfloat16."""
    words, pieces = _tokenizers()
    width = CLIP_L[size][0]
    drawing = FLUX_TRANSFORMER[size] | {
        "in_channels": 64,
        "joint_attention_dim": T5[size]["d_model"],
        "pooled_projection_dim": width,
        "guidance_embeds": True,
    }
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=_made(size, lambda: _vae(size)),
        text_encoder=_made(size, lambda: hf.CLIPTextModel(_clip(words, CLIP_L[size], width))),
        tokenizer=words,
        text_encoder_2=_made(size, lambda: hf.T5EncoderModel(_t5(pieces, size))),
        tokenizer_2=pieces,
        transformer=_made(size, lambda: FluxTransformer2DModel(**drawing)),
    ).save_pretrained(folder)
    return str(folder)


def sd3(folder: Path, size: Size) -> str:
    """Stable Diffusion 3.5 large: 8 billion weights and 6 of its text encoders, 28 GB."""
    words, pieces = _tokenizers()
    heads = SD3_TRANSFORMER[size]
    pooled = CLIP_L[size][0] + CLIP_G[size][0]
    drawing = heads | {
        "sample_size": 128,
        "in_channels": 16,
        "out_channels": 16,
        "joint_attention_dim": T5[size]["d_model"],
        "caption_projection_dim": heads["num_attention_heads"] * heads["attention_head_dim"],
        "pooled_projection_dim": pooled,
        "pos_embed_max_size": 192,
        "qk_norm": "rms_norm",
    }
    one, two = (
        _made(size, lambda shape=shape: _projecting(words, shape))
        for shape in (CLIP_L[size], CLIP_G[size])
    )
    StableDiffusion3Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_made(size, lambda: _vae(size)),
        text_encoder=one,
        tokenizer=words,
        text_encoder_2=two,
        tokenizer_2=words,
        text_encoder_3=_made(size, lambda: hf.T5EncoderModel(_t5(pieces, size))),
        tokenizer_3=pieces,
        transformer=_made(size, lambda: SD3Transformer2DModel(**drawing)),
    ).save_pretrained(folder)
    return str(folder)


def _tokenizers() -> tuple[Any, Any]:
    """CLIP's and T5's of the demo, which spell any text."""
    demo = Path(FLUX)
    return (
        hf.CLIPTokenizer.from_pretrained(demo / "tokenizer"),
        hf.T5Tokenizer.from_pretrained(demo / "tokenizer_2"),
    )


def _vae(size: Size) -> AutoencoderKL:
    # https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/vae/config.json
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
        **VAE[size],
    )


def _clip(words: Any, shape: tuple[int, int, int], projection: int) -> hf.CLIPTextConfig:
    width, layers, heads = shape
    return hf.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        projection_dim=projection,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )


def _projecting(words: Any, shape: tuple[int, int, int]) -> hf.CLIPTextModelWithProjection:
    return hf.CLIPTextModelWithProjection(_clip(words, shape, shape[0]))


def _t5(pieces: Any, size: Size) -> hf.T5Config:
    return hf.T5Config(
        vocab_size=len(pieces),
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        **T5[size],
    )


def _made(size: Size, build: Callable[[], Any]) -> Any:
    """What `build` makes, in bfloat16; at full size on the GPU, where random weights take seconds.

    It rests on the CPU: the whole of FLUX need not fit beside what else the GPU holds.
    """
    torch.manual_seed(0)
    if size != "full":
        return build().to(torch.bfloat16)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            return build().to("cpu")
    finally:
        torch.set_default_dtype(before)
