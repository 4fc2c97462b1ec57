"""What the tiny checkpoints share: a tokenizer stated in full, sizes, and weights that talk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WIDTH, WIDER, HEADS = 64, 128, 2
"""vLLM's CPU attention takes no heads narrower than 32."""
SIDE, PATCH = 56, 14
"""Pixels of a picture's tile and of its 16 patches."""
VOCABULARY = 320
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def tokenizer(
    specials: Sequence[str], *, eos: str, pad: str, bos: str | None = None
) -> PreTrainedTokenizerFast:
    """Specials, then 256 bytes, one token each; BOS is added where there is one."""
    names = list(dict.fromkeys([*([bos] if bos else []), eos, pad, *specials]))
    pieces = [*names, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={piece: at for at, piece in enumerate(pieces)}, merges=[]))
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if bos:
        made.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, names.index(bos))]
        )
    known = {"eos_token": eos, "pad_token": pad} | ({"bos_token": bos} if bos else {})
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        additional_special_tokens=list(specials),
        model_max_length=8192,
        padding_side="left",
        **known,
    )


def language_model(words: PreTrainedTokenizerFast, **changes: Any) -> dict[str, Any]:
    """The configuration of a Llama, Mistral or Qwen2 of two layers."""
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": WIDER,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        **changes,
    }


def tower(**changes: Any) -> dict[str, Any]:
    """The configuration of a vision tower of two layers."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": WIDER,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "image_size": SIDE,
        "patch_size": PATCH,
        **changes,
    }


@torch.no_grad()
def save(
    model: Any,
    processor: Any,
    folder: Path,
    *,
    renamed: Mapping[str, str] | None = None,
    spread: float = 0.15,
) -> str:
    """Weights large enough for every picture to get an answer of its own, made of `LETTERS`.

    Args:
        renamed: Beginnings of weights' names as transformers 5 writes them → as they are on the
            Hub, which vLLM wants.
        spread: Standard deviation of the weights.
    """
    set_weights(model, torch.Generator(model.device).manual_seed(0), spread)
    words = processor.tokenizer
    silence(model.get_output_embeddings().weight, words)
    config = model.generation_config
    config.bos_token_id = words.bos_token_id
    config.eos_token_id, config.pad_token_id = words.eos_token_id, words.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    for old, new in (renamed or {}).items():
        _rename(folder / "model.safetensors", old, new)
    return str(folder)


@torch.no_grad()
def set_weights(model: torch.nn.Module, own: torch.Generator, spread: float) -> None:
    """Draw a model's weights, the same ones each time."""
    for weights in model.parameters():
        if weights.dim() > 1:
            weights.normal_(0, spread, generator=own)
        elif weights.numel() == 1:
            weights.fill_(0.5)  # gates of Mllama's that start shut


@torch.no_grad()
def silence(head: torch.Tensor, words: PreTrainedTokenizerFast) -> None:
    """Have a head say nothing but `LETTERS`."""
    spoken = words.convert_tokens_to_ids(list(LETTERS))
    head[[row for row in range(len(head)) if row not in spoken]] = 0


def _rename(file: Path, old: str, new: str) -> None:
    renamed = {
        name.replace(old, new, 1) if name.startswith(old) else name: weights
        for name, weights in load_file(file).items()
    }
    save_file(renamed, file, {"format": "pt"})
