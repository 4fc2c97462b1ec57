"""What all trainings of the scene models share: seeds, pictures as tensors, the optimiser."""

import logging
import math
import random
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor, nn

logger = logging.getLogger(__name__)

WARM_UP_STEPS = 100
LAST_RATE = 0.03
LOG_EVERY = 50


class Optimiser:
    """AdamW; the rate rises over `WARM_UP_STEPS`, then falls by a cosine to 3 % of its peak."""

    def __init__(self, parameters: Iterable[nn.Parameter], peak_rate: float, steps: int) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.losses: list[float] = []
        self._steps = steps
        self._peak_rate = peak_rate
        self._adamw = torch.optim.AdamW(self.parameters, betas=(0.9, 0.98), weight_decay=1e-3)

    def step(self, loss: Tensor) -> None:
        """Follows the loss down once; clips the gradient's norm to 1."""
        for group in self._adamw.param_groups:
            group["lr"] = self._peak_rate * self._share_of_peak()
        self._adamw.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self._adamw.step()
        self.losses.append(loss.item())
        self._log()

    def _share_of_peak(self) -> float:
        done = len(self.losses)
        cosine = 0.5 * (1 + math.cos(math.pi * done / self._steps))
        return min(1.0, (done + 1) / WARM_UP_STEPS) * max(LAST_RATE, cosine)

    def _log(self) -> None:
        if len(self.losses) % LOG_EVERY == 0:
            mean = sum(self.losses[-LOG_EVERY:]) / LOG_EVERY
            logger.info("step %d of %d: loss %.5f", len(self.losses), self._steps, mean)


def seed_everything(seed: int) -> random.Random:
    """Seeds torch and gives a generator for the rest; one thread, so that sums keep their order."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return random.Random(seed)


def stack_pictures(pictures: Sequence[Image]) -> Tensor:
    """uint8, (count, 3, H, W), from RGB pictures of one size."""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(
        0, 3, 1, 2
    )


def to_signed(pictures: Tensor) -> Tensor:
    """float32 in -1 to 1 from uint8: what diffusers' autoencoders take."""
    return pictures.float() / 127.5 - 1
