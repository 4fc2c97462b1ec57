"""Trains the autoencoder of the scenes FLUX: 64 x 64 pixels to 8 x 8 latents of 8 channels.

First both halves together (`train_vae`), then the decoder alone against noisy latents
(`train_decoder`): FLUX's latents are never quite those of a real picture, and its pictures' edges
stay sharp only if the decoder has learnt to forgive that.
"""

# diffusers types its tuples as of one element, its outputs as plain tensors, and exports lazily.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportPrivateImportUsage=false

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from dataflow_dagster.scenes.drawing import SEEN, draw
from dataflow_dagster.scenes.training import (
    Optimiser,
    seed_everything,
    stack_pictures,
    to_signed,
)

PICTURES = 4000
BATCH = 16
KL_WEIGHT = 1e-4
LATENT_NOISE = 0.2


def build_vae() -> AutoencoderKL:
    """0.26M parameters; the latents' mean and spread are set once it is trained."""
    channels = (16, 16, 32, 32)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=8,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        sample_size=64,
    )


def train_vae(folder: Path, steps: int = 5000, pictures: int = PICTURES) -> list[float]:
    """Writes a float32 autoencoder to `folder`; gives the loss of each step."""
    rng = seed_everything(11)
    vae = build_vae().train()
    seen = _draw_seen(rng, pictures)
    optimiser = Optimiser(vae.parameters(), 2e-3, steps)
    for _ in range(steps):
        batch = to_signed(seen[torch.randint(0, len(seen), (BATCH,))])
        optimiser.step(_measure_loss(vae, batch))
    _set_scale(vae.eval(), seen)
    vae.save_pretrained(folder)
    return optimiser.losses


def train_decoder(folder: Path, steps: int = 3000, pictures: int = PICTURES) -> list[float]:
    """Trains the decoder in `folder` further and writes it back; the encoder stays as it is."""
    rng = seed_everything(12)
    vae = load_vae(folder).requires_grad_(False)
    vae.decoder.requires_grad_(True).train()
    seen = _draw_seen(rng, pictures)
    optimiser = Optimiser(vae.decoder.parameters(), 1e-3, steps)
    for _ in range(steps):
        batch = to_signed(seen[torch.randint(0, len(seen), (BATCH,))])
        optimiser.step(_measure_decoder_loss(vae, batch))
    vae.eval().save_pretrained(folder)
    return optimiser.losses


def load_vae(folder: Path) -> AutoencoderKL:
    """The autoencoder in `folder`, without the folder's name, which would be saved with it."""
    loaded = AutoencoderKL.from_pretrained(folder)
    config = {key: value for key, value in loaded.config.items() if key != "_name_or_path"}
    vae = AutoencoderKL.from_config(config)
    vae.load_state_dict(loaded.state_dict())
    return vae.eval()


def encode_pictures(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Mean latents, (count, 8, 8, 8), not yet scaled, of uint8 pictures, 50 at a time."""
    with torch.no_grad():
        batches = [vae.encode(to_signed(part)).latent_dist.mean for part in pictures.split(50)]
    return torch.cat(batches)


def _draw_seen(rng: random.Random, count: int) -> Tensor:
    return stack_pictures([draw(rng.choice(SEEN), rng) for _ in range(count)])


def _measure_loss(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(pictures).latent_dist
        latents = posterior.sample()
        drawn = vae.decode(latents).sample
    kl = posterior.kl().float().mean() / latents[0].numel()
    return _compare(drawn.float(), pictures) + KL_WEIGHT * kl


def _measure_decoder_loss(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        latents = vae.encode(pictures).latent_dist.mean
        spread = LATENT_NOISE / vae.config["scaling_factor"] * torch.rand(len(pictures), 1, 1, 1)
        drawn = vae.decode(latents + spread * torch.randn_like(latents)).sample
    return _compare(drawn.float(), pictures)


def _compare(drawn: Tensor, truth: Tensor) -> Tensor:
    """Colours, and the steps between neighbours: the latter keep areas flat and edges sharp."""
    edges = l1_loss(drawn.diff(dim=-1), truth.diff(dim=-1))
    edges = edges + l1_loss(drawn.diff(dim=-2), truth.diff(dim=-2))
    return l1_loss(drawn, truth) + 0.5 * mse_loss(drawn, truth) + 0.5 * edges


def _set_scale(vae: AutoencoderKL, pictures: Tensor) -> None:
    latents = encode_pictures(vae, pictures[:600])
    mean, spread = latents.mean().item(), latents.std().item()
    vae.register_to_config(scaling_factor=1 / spread, shift_factor=mean)
