"""A tiny text model."""

from pathlib import Path
from types import SimpleNamespace

from transformers import LlamaConfig, LlamaForCausalLM

from dataflow_dagster_tests.engines.checkpoints import parts

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def llama(folder: Path) -> str:
    """A random Llama of two layers, whose answers hang on every token of its prompt."""
    words = parts.tokenizer([], eos="</s>", pad="<pad>", bos="<s>")
    words.chat_template = TEMPLATE
    model = LlamaForCausalLM(LlamaConfig(**parts.language_model(words)))
    processor = SimpleNamespace(tokenizer=words, save_pretrained=words.save_pretrained)
    return parts.save(model, processor, folder)
