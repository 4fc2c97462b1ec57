"""Trains the scenes FLUX by rectified flow, text encoders included, on latents of seen scenes."""

# diffusers types its tuples as of one element, its outputs as plain tensors, and exports lazily.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportPrivateImportUsage=false

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pixel_unshuffle
from transformers import CLIPTokenizer, T5Tokenizer

from dataflow_dagster.scenes.drawing import SEEN, draw
from dataflow_dagster.scenes.flux import build_pipeline
from dataflow_dagster.scenes.train_vae import encode_pictures, load_vae
from dataflow_dagster.scenes.training import Optimiser, seed_everything, stack_pictures

PICTURES = 4800
BATCH = 48
JITTER = 0.4
"""Pictures that lie near the middle: at full jitter the edges came out blurred."""
LENGTHS = {16: 0.62, 32: 0.32, 64: 0.03, 128: 0.02, 512: 0.01}
"""Shares of steps by T5's pad length. Pads are not masked, so that each length must be learnt."""
SHORT = 64
DECAY = 0.999


@dataclass(frozen=True, slots=True)
class Latents:
    """Packed as FLUX takes them, (count, 16, 32), and each one's place in `SEEN`."""

    packed: Tensor
    scenes: Tensor


class Captions:
    """The captions of `SEEN` as tokens: CLIP's, (80, 77), and T5's by pad length."""

    def __init__(self, pipeline: FluxPipeline) -> None:
        texts = [scene.caption for scene in SEEN]
        self.clip = _tokenise(pipeline.tokenizer, texts, 77)
        self.t5 = {length: _tokenise(pipeline.tokenizer_2, texts, length) for length in LENGTHS}


class Average:
    """A running mean of the parameters; what is saved in the end."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self._live = parameters
        self._means = [parameter.detach().clone() for parameter in parameters]
        self._updates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Forgets faster at first, when the weights still move far."""
        self._updates += 1
        decay = min(DECAY, self._updates / (self._updates + 20))
        for mean, live in zip(self._means, self._live, strict=True):
            mean.lerp_(live, 1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Overwrites the parameters with their means."""
        for mean, live in zip(self._means, self._live, strict=True):
            live.copy_(mean)


def train_flux(
    vae_folder: Path, folder: Path, steps: int = 6000, pictures: int = PICTURES
) -> list[float]:
    """Writes a whole bfloat16 pipeline, with the autoencoder of `vae_folder`, to `folder`.

    Returns:
        The loss of each step.
    """
    rng = seed_everything(2)
    vae = load_vae(vae_folder)
    pipeline = build_pipeline(vae)
    latents, captions = _encode_scenes(vae, rng, pictures), Captions(pipeline)
    models = (pipeline.transformer, pipeline.text_encoder, pipeline.text_encoder_2)
    parameters = [parameter for model in models for parameter in model.train().parameters()]
    optimiser, average = Optimiser(parameters, 1e-3, steps), Average(parameters)
    for _ in range(steps):
        optimiser.step(_measure_loss(pipeline, latents, captions, rng))
        average.update()
    average.apply()
    pipeline.to(torch.bfloat16).save_pretrained(folder)
    return optimiser.losses


def _encode_scenes(vae: AutoencoderKL, rng: random.Random, count: int) -> Latents:
    scenes = torch.tensor([rng.randrange(len(SEEN)) for _ in range(count)])
    pictures = stack_pictures([draw(SEEN[number], rng, jitter=JITTER) for number in scenes])
    shift, scale = vae.config["shift_factor"], vae.config["scaling_factor"]
    latents = (encode_pictures(vae, pictures) - shift) * scale
    return Latents(pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2), scenes)


def _measure_loss(
    pipeline: FluxPipeline, latents: Latents, captions: Captions, rng: random.Random
) -> Tensor:
    """Mean squared error of the predicted flow from picture to noise."""
    length = rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
    batch = BATCH if length <= SHORT else BATCH // 4
    chosen = torch.randint(0, len(latents.packed), (batch,))
    clean, scenes = latents.packed[chosen], latents.scenes[chosen]
    noise, level = torch.randn_like(clean), _draw_levels(batch, rng)
    mixed = torch.lerp(clean, noise, level[:, None, None])
    tokens = captions.clip[scenes], captions.t5[length][scenes]
    return mse_loss(_predict_flow(pipeline, mixed, level, *tokens), noise - clean)


def _draw_levels(count: int, rng: random.Random) -> Tensor:
    """Shares of noise: mostly from the middle and above, where the scene is decided."""
    if rng.random() < 0.3:
        return torch.rand(count)
    return torch.sigmoid(1.2 * torch.randn(count) + 0.3)


def _predict_flow(
    pipeline: FluxPipeline, mixed: Tensor, level: Tensor, clip_ids: Tensor, t5_ids: Tensor
) -> Tensor:
    guidance = 1 + 5 * torch.rand(len(mixed))
    side = torch.arange(mixed.shape[1] ** 0.5)
    return pipeline.transformer(
        hidden_states=mixed,
        timestep=level,
        guidance=guidance,
        pooled_projections=pipeline.text_encoder(clip_ids).pooler_output,
        encoder_hidden_states=pipeline.text_encoder_2(t5_ids)[0],
        txt_ids=torch.zeros(t5_ids.shape[1], 3),
        img_ids=torch.cartesian_prod(torch.zeros(1), side, side),
        return_dict=False,
    )[0]


def _tokenise(tokenizer: CLIPTokenizer | T5Tokenizer, texts: list[str], length: int) -> Tensor:
    return tokenizer(
        texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
