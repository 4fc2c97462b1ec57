"""Tiny video pipelines of diffusers, random but real: the demo FLUX's tokenizers, the rest made."""

from pathlib import Path
from typing import Any

import diffusers as d
import torch
import transformers as hf
from transformers import CLIPTokenizer, T5TokenizerFast

from dataflow_dagster_tests.engines.requests import FLUX

WIDTH = 32


def cogvideox(folder: Path) -> str:
    words = _t5_tokenizer()
    parts = (words, _t5(words, WIDTH), _cog_vae(), _cog_transformer(4))
    return _saved(d.CogVideoXPipeline(*parts, d.CogVideoXDDIMScheduler()), folder)


def cogvideox_i2v(folder: Path) -> str:
    words = _t5_tokenizer()
    transformer = _cog_transformer(
        8, use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True
    )
    parts = (words, _t5(words, WIDTH), _cog_vae(), transformer)
    return _saved(d.CogVideoXImageToVideoPipeline(*parts, d.CogVideoXDDIMScheduler()), folder)


def allegro(folder: Path) -> str:
    words = _t5_tokenizer()
    vae = d.AutoencoderKLAllegro(
        down_block_types=("AllegroDownBlock3D",) * 4,
        up_block_types=("AllegroUpBlock3D",) * 4,
        block_out_channels=(8,) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )
    transformer = d.AllegroTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        cross_attention_dim=24,
        sample_width=8,
        sample_height=8,
        sample_frames=8,
        caption_channels=24,
    )
    parts = (words, _t5(words, 24), vae, transformer)
    return _saved(d.AllegroPipeline(*parts, d.DDIMScheduler()), folder)


def stable_diffusion(folder: Path) -> str:
    """What AnimateDiff moves: a pipeline for pictures."""
    words = _clip_tokenizer()
    pipeline: Any = d.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_clip(words),
        tokenizer=words,
        unet=_unet2d(),
        scheduler=d.PNDMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _saved(pipeline, folder)


def motion_adapter(folder: Path) -> str:
    """What moves it."""
    d.MotionAdapter(
        block_out_channels=(8, 8),
        motion_layers_per_block=2,
        motion_norm_num_groups=2,
        motion_num_attention_heads=4,
    ).save_pretrained(folder)
    return str(folder)


def other_motion_adapter(folder: Path) -> str:
    """One that moves it otherwise."""
    torch.manual_seed(1)
    return motion_adapter(folder)


def modelscope(folder: Path) -> str:
    words = _clip_tokenizer()
    unet = d.UNet3DConditionModel(
        block_out_channels=(8, 8),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=2,
    )
    parts = (_vae(), _clip(words), words, unet, d.DDIMScheduler(clip_sample=False))
    return _saved(d.TextToVideoSDPipeline(*parts), folder, variant="fp16")


def i2vgen_xl(folder: Path) -> str:
    words = _clip_tokenizer()
    unet = d.I2VGenXLUNet(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        num_attention_heads=None,
        norm_num_groups=2,
    )
    looks = hf.CLIPImageProcessor(crop_size=32, size=32)
    scheduler = d.DDIMScheduler(clip_sample=False)
    parts = (_vae(), _clip(words), words, _image_encoder(8, 32), looks, unet, scheduler)
    return _saved(d.I2VGenXLPipeline(*parts), folder, variant="fp16")


def svd(folder: Path) -> str:
    unet = d.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=32,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=WIDTH,
        num_attention_heads=(8, 8),
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
        transformer_layers_per_block=1,
        num_frames=8,
    )
    vae = d.AutoencoderKLTemporalDecoder(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        latent_channels=4,
    )
    scheduler = d.EulerDiscreteScheduler(
        prediction_type="v_prediction",
        sigma_max=700.0,
        sigma_min=0.002,
        timestep_type="continuous",
        use_karras_sigmas=True,
    )
    pipeline: Any = d.StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=_image_encoder(WIDTH, 224),
        unet=unet,
        scheduler=scheduler,
        feature_extractor=hf.CLIPImageProcessor(crop_size=224, size=224),
    )
    return _saved(pipeline, folder, variant="fp16")


def wan(folder: Path) -> str:
    words = _t5_tokenizer()
    vae = d.AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    transformer = d.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=WIDTH,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    config = hf.UMT5Config(
        vocab_size=len(words), d_model=WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=4
    )
    pipeline: Any = d.WanPipeline(
        tokenizer=words,
        text_encoder=hf.UMT5EncoderModel(config).eval(),
        vae=vae,
        scheduler=d.FlowMatchEulerDiscreteScheduler(shift=7.0),
        transformer=transformer,
    )
    return _saved(pipeline, folder)


def ltx(folder: Path) -> str:
    return _saved(d.LTXPipeline(*_ltx_parts()), folder)


def ltx_i2v(folder: Path) -> str:
    return _saved(d.LTXImageToVideoPipeline(*_ltx_parts()), folder)


def _ltx_parts() -> tuple[Any, ...]:
    words = _t5_tokenizer()
    once = (True, True, False, False)
    vae = d.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=once,
        decoder_spatio_temporal_scaling=once,
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        timestep_conditioning=False,
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    transformer = d.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        patch_size=1,
        patch_size_t=1,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=WIDTH,
    )
    return d.FlowMatchEulerDiscreteScheduler(), vae, _t5(words, WIDTH), words, transformer


def _saved(pipeline: Any, folder: Path, variant: str | None = None) -> str:
    pipeline.save_pretrained(folder, variant=variant)
    return str(folder)


def _t5_tokenizer() -> T5TokenizerFast:
    return T5TokenizerFast.from_pretrained(f"{FLUX}/tokenizer_2")


def _clip_tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(f"{FLUX}/tokenizer")


def _t5(words: T5TokenizerFast, width: int) -> hf.T5EncoderModel:
    config = hf.T5Config(
        vocab_size=len(words),
        d_model=width,
        d_kv=width // 4,
        d_ff=2 * width,
        num_layers=1,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
    )
    return hf.T5EncoderModel(config)


def _clip(words: CLIPTokenizer) -> hf.CLIPTextModel:
    config = hf.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=words.model_max_length,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return hf.CLIPTextModel(config)


def _image_encoder(width: int, side: int) -> hf.CLIPVisionModelWithProjection:
    config = hf.CLIPVisionConfig(
        hidden_size=32,
        projection_dim=width,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=side,
        intermediate_size=37,
        patch_size=side // 4,
    )
    return hf.CLIPVisionModelWithProjection(config)


def _vae() -> d.AutoencoderKL:
    return d.AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
    )


def _unet2d() -> d.UNet2DConditionModel:
    return d.UNet2DConditionModel(
        block_out_channels=(8, 8),
        layers_per_block=2,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=8,
        norm_num_groups=2,
        attention_head_dim=4,
    )


def _cog_vae() -> d.AutoencoderKLCogVideoX:
    return d.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8,) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        temporal_compression_ratio=4,
    )


def _cog_transformer(channels: int, **changes: Any) -> d.CogVideoXTransformer3DModel:
    return d.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=channels,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=WIDTH,
        num_layers=1,
        sample_width=8,
        sample_height=8,
        sample_frames=9,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=226,
        **changes,
    )
