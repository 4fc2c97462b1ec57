"""Comes with the tiny Phi-3-vision: the face that vLLM wants of the Hub's processor.

A picture is scaled onto the most squares of 336 pixels that `num_crops` allows; a square makes 144
tokens, a row of them 12 more.
"""

import re
from typing import Any

import torch
import transformers
from PIL import Image
from torchvision.transforms.functional import to_tensor
from transformers import AutoImageProcessor, BatchFeature, ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor

SQUARE = 336


class Phi3VImageProcessor(BaseImageProcessor):
    model_input_names = ("pixel_values",)

    def __init__(self, num_crops: int = 1, num_img_tokens: int = 144, **options: Any) -> None:
        super().__init__(**options)
        self.num_crops = num_crops
        self.num_img_tokens = num_img_tokens

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Squares side by side, and one above the other."""
        long, short = max(width, height), min(width, height)
        most = range(1, self.num_crops + 1)
        along = max(n for n in most if n * -(-n * short // long) <= self.num_crops)
        across = -(-along * short // long)
        return (along, across) if width >= height else (across, along)

    def calc_num_image_tokens_from_image_size(self, width: int, height: int) -> int:
        columns, rows = self.grid(width, height)
        return (columns * rows + 1) * self.num_img_tokens + 1 + (rows + 1) * 12

    def preprocess(self, images: Any, return_tensors: str | None = None, **_: Any) -> BatchFeature:
        pictures = images if isinstance(images, list) else [images]
        sizes = [self.grid(*picture.size) for picture in pictures]
        cut = [self._cut(picture, *size) for picture, size in zip(pictures, sizes, strict=True)]
        made = {
            "pixel_values": torch.stack(cut),
            "image_sizes": [[rows * SQUARE, columns * SQUARE] for columns, rows in sizes],
        }
        return BatchFeature(made, tensor_type=return_tensors)

    def _cut(self, picture: Image.Image, columns: int, rows: int) -> torch.Tensor:
        whole = to_tensor(picture.resize((SQUARE, SQUARE)))[None]
        large = to_tensor(picture.resize((columns * SQUARE, rows * SQUARE)))
        parts = large.reshape(3, rows, SQUARE, columns, SQUARE).permute(1, 3, 0, 2, 4)
        crops = torch.cat([whole, parts.reshape(-1, 3, SQUARE, SQUARE)])
        empty = torch.zeros(self.num_crops + 1 - len(crops), 3, SQUARE, SQUARE)
        return torch.cat([crops, empty]) * 2 - 1


AutoImageProcessor.register("Phi3VImageProcessor", Phi3VImageProcessor)
transformers.Phi3VImageProcessor = Phi3VImageProcessor


class Phi3VProcessor(ProcessorMixin):
    attributes = ("image_processor", "tokenizer")
    image_processor_class = "Phi3VImageProcessor"
    tokenizer_class = ("LlamaTokenizer", "LlamaTokenizerFast")

    def __init__(self, image_processor: Phi3VImageProcessor, tokenizer: Any) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.img_tokens = [f"<|image_{at + 1}|>" for at in range(1000)]

    def calc_num_image_tokens_from_image_size(self, width: int, height: int) -> int:
        return self.image_processor.calc_num_image_tokens_from_image_size(width, height)

    def __call__(
        self, text: str, images: Any = None, return_tensors: str = "pt", **_: Any
    ) -> BatchFeature:
        if not images:
            return BatchFeature({**self.tokenizer(text, return_tensors=return_tensors)})
        pictures = images if isinstance(images, list) else [images]
        first, *others = re.split(r"<\|image_\d+\|>", text)
        tokens = self.tokenizer(first).input_ids
        for at, (picture, chunk) in enumerate(zip(pictures, others, strict=True)):
            count = self.calc_num_image_tokens_from_image_size(*picture.size)
            tokens = tokens + [-(at + 1)] * count + self.tokenizer(chunk).input_ids
        made = self.image_processor.preprocess(pictures, return_tensors=return_tensors)
        return BatchFeature({"input_ids": torch.tensor([tokens]), **made})
