"""The chat template that comes with a checkpoint, rendered into an explicit prompt."""

import threading
from functools import lru_cache
from typing import Any, Final

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.processor import load_processor

_PROBE: Final = "dataflow"
_loading = threading.Lock()


def render_chat(model_path: str, prompt: str, *, trust_remote_code: bool) -> str:
    """One user's turn, a picture and `prompt`, up to where the answer begins; all tokens spelt out.

    BOS stands in it where the template or the tokenizer gives it, once, so it is to be read
    without special tokens added. May be called from threads.

    Raises:
        UnfitSettingError: The checkpoint has no template, or one without a place for a picture.
    """
    with _loading:
        processor = _processor(model_path, trust_remote_code)
    template = _template(processor, model_path)
    rendered = _render(processor, template, prompt)
    bos = processor.tokenizer.bos_token
    if bos is None or rendered.startswith(bos) or not _adds_bos(processor.tokenizer):
        return rendered
    return bos + rendered


@lru_cache(maxsize=4)
def _processor(model_path: str, trust_remote_code: bool) -> Any:
    return load_processor(model_path, trust_remote_code=trust_remote_code)


def _template(processor: Any, model_path: str) -> str:
    """That of the processor or of its tokenizer, which must have a place for a picture."""
    for owner in (processor, processor.tokenizer):
        template = getattr(owner, "chat_template", None)
        if isinstance(template, str) and _takes_pictures(processor, template):
            return template
    raise UnfitSettingError(
        "model_path",
        model_path,
        "it brings no chat template with a place for a picture; write a model with a "
        "prompt_template of its own for it",
    )


def _takes_pictures(processor: Any, template: str) -> bool:
    from jinja2 import TemplateError

    try:
        with_picture = _render(processor, template, _PROBE)
        without = _render(processor, template, _PROBE, picture=False)
    except (TemplateError, TypeError):  # made for a content that is one text
        return False
    as_list = "'type'" in with_picture  # such a template, which printed the list
    return with_picture != without and _PROBE in with_picture and not as_list


def _render(processor: Any, template: str, prompt: str, *, picture: bool = True) -> str:
    content = [{"type": "image"}] if picture else []
    return processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
    )


def _adds_bos(tokenizer: Any) -> bool:
    return tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
