import json
import shutil
from pathlib import Path

import pytest

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.transformers.chat_template import render_chat
from dataflow_dagster_tests.engines.requests import LLAVA

WITHOUT_BOS = (
    "{% for m in messages %}{% for c in m['content'] %}"
    "{{ '<image>' if c['type'] == 'image' else c['text'] }}{% endfor %}{% endfor %}"
)


def with_template(template: str | None, into: Path) -> str:
    copied = Path(shutil.copytree(LLAVA, into))
    (copied / "chat_template.jinja").unlink()
    if template is not None:
        (copied / "chat_template.jinja").write_text(template)
    return str(copied)


def test_the_prompt_stands_in_the_checkpoints_own_template() -> None:
    rendered = render_chat(LLAVA, "What is {{ this }}?", trust_remote_code=False)
    assert rendered == "<s>USER: <image>\nWhat is {{ this }}?\nASSISTANT:"


def test_bos_is_added_where_the_template_leaves_it_to_the_tokenizer(tmp_path: Path) -> None:
    path = with_template(WITHOUT_BOS, tmp_path / "model")
    assert render_chat(path, "What?", trust_remote_code=False) == "<s><image>What?"


def test_no_bos_is_added_where_the_tokenizer_adds_none(tmp_path: Path) -> None:
    path = Path(with_template(WITHOUT_BOS, tmp_path / "model"))
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    (path / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": None}))
    assert render_chat(str(path), "What?", trust_remote_code=False) == "<image>What?"


@pytest.mark.parametrize(
    "template",
    [
        None,
        "{% for m in messages %}{{ m['content'] }}{% endfor %}",
        "{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}",
        "{% for m in messages %}{{ m['content'][-1]['text'] }}{% endfor %}",
        "{{ raise_exception('text only') }}",
    ],
    ids=["no template", "prints a list", "wants a text", "skips pictures", "raises"],
)
def test_a_template_without_a_place_for_a_picture_is_refused(
    template: str | None, tmp_path: Path
) -> None:
    path = with_template(template, tmp_path / "model")
    with pytest.raises(UnfitSettingError, match="no chat template with a place for a picture"):
        render_chat(path, "What?", trust_remote_code=False)
