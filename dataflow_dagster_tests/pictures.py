"""Pictures with the statistics of photographs, made on the spot."""

import numpy as np
from PIL import Image


def natural(size: tuple[int, int], seed: int) -> Image.Image:
    """Coloured 1/f noise: as much at every scale, like photographs, and as dear to decode.

    D. J. Field, Relations between the statistics of natural images and the response properties
    of cortical cells, 1987.
    """
    width, height = size
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = np.maximum(np.hypot(down, across), 1 / max(size)) ** -1.2
    planes: list[np.ndarray] = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * rng.random(falling.shape))
        plane = np.fft.irfft2(falling * phases, s=(height, width))
        planes.append(plane / plane.std())
    light, warm, cold = planes
    channels = np.stack([light + 0.2 * warm, light, light + 0.2 * cold], axis=-1)
    return Image.fromarray(np.clip(128 + 50 * channels, 0, 255).astype(np.uint8))
