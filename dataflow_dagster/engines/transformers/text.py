"""Language models that read text alone: their files, their chat template, transformers on them."""

import os
import threading
from functools import lru_cache
from typing import Any

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.session import Engine
from dataflow_dagster.engines.transformers.model import (
    Loaded,
    load_model,
    special_tokens,
    token_limit,
)
from dataflow_dagster.engines.transformers.processor import check_room, token_room
from dataflow_dagster.engines.transformers.session import TransformersSession

_loading = threading.Lock()


class TextProcessor:
    """A tokenizer behind the face that a vision-language model's processor has."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(
        self, text: list[str], *, padding: bool, add_special_tokens: bool, return_tensors: str
    ) -> Any:
        """Token ids and mask, (rows, tokens), left-padded."""
        from transformers import BatchFeature

        made = self.tokenizer(
            text,
            padding=padding,
            add_special_tokens=add_special_tokens,
            return_tensors=return_tensors,
        )
        # Some tokenizers add token types, which causal models refuse.
        return BatchFeature({name: made[name] for name in ("input_ids", "attention_mask")})


def render_text_chat(model_path: str, text: str, *, trust_remote_code: bool) -> str:
    """One user's turn up to where the answer begins; all tokens spelt out, BOS where it belongs.

    To be read without special tokens added. May be called from threads.

    Raises:
        UnfitSettingError: The checkpoint has no chat template.
    """
    with _loading:
        tokenizer = _tokenizer(model_path, trust_remote_code)
    if not tokenizer.chat_template:
        raise UnfitSettingError(
            "chat_template", True, f"{model_path} brings no chat template; leave it out"
        )
    turn = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    bos = tokenizer.bos_token
    adds_bos = tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    if bos is None or rendered.startswith(bos) or not adds_bos:
        return rendered
    return bos + rendered


def check_beforehand(settings: LanguageSettings, prompt: str) -> None:
    """Tell, before an engine starts, a prompt that leaves no row room for its text and answer.

    Raises:
        UnfitSettingError: See `check_room`.
    """
    if not prompt or token_room(settings) is None:
        return
    with _loading:
        tokenizer = _tokenizer(settings.model_path, settings.trust_remote_code)
    tokens = tokenizer(prompt, add_special_tokens=settings.add_special_tokens).input_ids
    check_room(settings, prompt, len(tokens), "the prompt's words")


def open_transformers(engine: Engine, settings: LanguageSettings) -> TransformersSession:
    """Load a language model into transformers; some seconds for a small one.

    Raises:
        UnfitSettingError: `max_model_len` is more than the model was made for.
    """
    from transformers import AutoModelForCausalLM, GenerationConfig

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    tokenizer = _tokenizer(settings.model_path, settings.trust_remote_code)
    tokenizer.padding_side = "left"
    processor = TextProcessor(tokenizer)
    model = load_model(engine, settings, AutoModelForCausalLM)
    ends, pad = special_tokens(model, processor)
    # The checkpoint's own sampling must not mix with the row's.
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(ends), pad_token_id=pad
    )
    limit, adds = token_limit(model, settings), settings.add_special_tokens
    return TransformersSession(
        Loaded(model, processor, limit, ends, add_special_tokens=adds), settings
    )


@lru_cache(maxsize=4)
def _tokenizer(model_path: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return AutoTokenizer.from_pretrained(model_path, trust_remote_code=trust_remote_code)
