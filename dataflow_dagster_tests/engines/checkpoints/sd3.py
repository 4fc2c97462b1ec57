"""A tiny Stable Diffusion 3: the demo FLUX's tokenizers, T5 and autoencoder, the rest random."""

from pathlib import Path

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from dataflow_dagster_tests.engines.requests import FLUX

CLIP_WIDTH, T5_WIDTH = 32, 64
"""The two CLIPs side by side may be no wider than T5."""


def sd3(folder: Path) -> str:
    torch.manual_seed(0)
    demo = FluxPipeline.from_pretrained(FLUX, dtype=torch.float32)
    pipeline = StableDiffusion3Pipeline(
        transformer=_transformer(demo.vae.config.latent_channels),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=demo.vae,
        text_encoder=_clip(demo.tokenizer),
        tokenizer=demo.tokenizer,
        text_encoder_2=_clip(demo.tokenizer),
        tokenizer_2=demo.tokenizer,
        text_encoder_3=demo.text_encoder_2,
        tokenizer_3=demo.tokenizer_2,
    )
    pipeline.save_pretrained(folder)
    return str(folder)


def _transformer(latent_channels: int) -> SD3Transformer2DModel:
    transformer = SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=latent_channels,
        out_channels=latent_channels,
        num_layers=2,
        attention_head_dim=32,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        caption_projection_dim=64,
        pooled_projection_dim=2 * CLIP_WIDTH,
        pos_embed_max_size=64,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    with torch.no_grad():  # as it is made, it would hardly hear the text
        for weights in transformer.parameters():
            if weights.dim() == 2:
                weights.normal_(0, 0.1)
    return transformer


def _clip(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=CLIP_WIDTH,
        intermediate_size=2 * CLIP_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=CLIP_WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModelWithProjection(config)
