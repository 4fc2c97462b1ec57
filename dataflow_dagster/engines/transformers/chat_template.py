"""The chat template that comes with a checkpoint, rendered into an explicit prompt."""

import threading
from functools import lru_cache
from typing import Any, Final

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.transformers.processor import load_processor
from dataflow_dagster.rows import Medium

_NAMES: Final = {"image": "picture", "video": "clip", "text": "text"}
_PROBE: Final = "dataflow"
_loading = threading.Lock()


def render_chat(
    model_path: str, prompt: str, medium: Medium = "image", *, trust_remote_code: bool
) -> str:
    """One user's turn, `medium` and `prompt`, up to where the answer begins; all tokens spelt out.

    BOS stands in it where the template or the tokenizer gives it, once, so it is to be read
    without special tokens added. May be called from threads.

    Raises:
        UnfitSettingError: The checkpoint has no template, or one without a place for `medium`.
    """
    with _loading:
        processor = _processor(model_path, trust_remote_code)
    template = _template(processor, model_path, medium)
    rendered = _render(processor, template, prompt, medium)
    bos = processor.tokenizer.bos_token
    if bos is None or rendered.startswith(bos) or not _adds_bos(processor.tokenizer):
        return rendered
    return bos + rendered


@lru_cache(maxsize=4)
def _processor(model_path: str, trust_remote_code: bool) -> Any:
    return load_processor(model_path, trust_remote_code=trust_remote_code)


def _template(processor: Any, model_path: str, medium: Medium) -> str:
    """That of the processor or of its tokenizer, which must have a place for `medium`."""
    for owner in (processor, processor.tokenizer):
        template = getattr(owner, "chat_template", None)
        if isinstance(template, str) and _takes(medium, processor, template):
            return template
    raise UnfitSettingError(
        "model_path",
        model_path,
        f"it brings no chat template with a place for a {_NAMES[medium]}; write a model with a "
        "prompt_template of its own for it",
    )


def _takes(medium: Medium, processor: Any, template: str) -> bool:
    from jinja2 import TemplateError

    try:
        with_medium = _render(processor, template, _PROBE, medium)
        without = _render(processor, template, _PROBE, None)
    except (TemplateError, TypeError):  # made for a content that is one text
        return False
    as_list = "'type'" in with_medium  # such a template, which printed the list
    return with_medium != without and _PROBE in with_medium and not as_list


def _render(processor: Any, template: str, prompt: str, medium: Medium | None) -> str:
    content = [] if medium is None else [{"type": medium}]
    return processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": [*content, {"type": "text", "text": prompt}]}],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
    )


def _adds_bos(tokenizer: Any) -> bool:
    return tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
