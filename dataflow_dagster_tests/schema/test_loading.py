import random
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import load_pipeline, parse_pipeline

GOOD = """\
name: demo
meta_path: data/demo/images.jsonl
meta_folder: ${MEDIA}
image_key: picture
id_key: id
shards: 8
shards_per_run: 2
format: jsonl
seed: 3
max_failed: 0.05
owners: [team:vision]
tags: {tier: gold}
resources: &defaults {cpus: 2}
steps:
  - type: ImageCaptioner
    name: LLaVACaptioner
    asset: first
    output_key: caption
    resources:
      <<: *defaults
      gpus: 1
      memory: 32Gi
    config:
      model_path: models/llava
      temperature: 1e-3
      prompt: "Say {{ what }} you see: ${NOTHING}"
  # drawn again
  - type: ImageGenerator
    name: FLUXGenerator
    config:
      height: 64
      width: 64
"""
PATH = Path("data/x.yaml")


def _error(text: str) -> str:
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(text, PATH)
    return str(raised.value)


def test_a_whole_pipeline_is_understood() -> None:
    spec = parse_pipeline(GOOD, PATH)
    assert (spec.name, spec.path, spec.shards, spec.max_failed) == ("demo", PATH, 8, 0.05)
    assert (spec.image_key, spec.text_key, spec.base_folder) == (
        "picture",
        "text",
        "intermediate_results/",
    )
    assert [step.asset for step in spec.steps] == ["first", "generated_images"]
    assert spec.steps[0].config.model_dump()["temperature"] == 0.001
    assert spec.steps[0].resources.model_dump() == {
        "gpus": 1,
        "pool": None,
        "cpus": 2.0,
        "memory": "32Gi",
        "env": None,
    }
    assert spec.warnings == ()


def test_a_pipeline_of_the_reference_loads_unchanged() -> None:
    text = (
        "meta_path: meta.jsonl\nmeta_folder: images\nsave_folder: out\nimage_key: image\n"
        "steps:\n  - type: ImageCaptioner\n    name: LLaVACaptioner\n    config:\n"
        "      model_path: llava-hf/llava-1.5-7b-hf\n      trust_remote_code: True\n"
        "      max_model_len: 2048\n      max_num_seqs: 128\n      temperature: 0.6\n"
        "  - type: ImageGenerator\n    name: FLUXGenerator\n    config:\n      device: cuda\n"
        "      batch_size: 1\n      weight: 1024\n"
    )
    spec = parse_pipeline(text, PATH)
    assert spec.name == "x"
    assert len(spec.warnings) == 1


def test_optional_keys_left_empty_take_their_defaults() -> None:
    text = "meta_path: m\ntags:\nresources:\nshards:\nsteps:\n  - type: ImageGenerator\n"
    spec = parse_pipeline(text + "    name: FLUXGenerator\n    config:\n    asset:\n", PATH)
    assert (spec.tags, spec.shards, spec.steps[0].asset) == ({}, None, "generated_images")


def test_line_ends_of_windows_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "my-pipe.yaml"
    text = GOOD.replace("name: demo\n", "").replace("\n", "\r\n")
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_pipeline(file).name == "my_pipe"


# What to replace in GOOD, by what, the line of the problem, and words of it.
BROKEN = [
    ("type: ImageCaptioner", "type: ImageCaptionr", 15, "did you mean 'ImageCaptioner'?"),
    ("name: LLaVACaptioner", "name: LavaCaptioner", 16, "did you mean 'LLaVACaptioner'?"),
    ("name: FLUXGenerator", "name: LLaVACaptioner", 29, "a model of type ImageCaptioner"),
    ("temperature:", "temprature:", 25, "steps[0].config.temprature: unknown key, did you mean"),
    ("temperature: 1e-3", "temperature: hot", 25, "is the text 'hot', expected a number, 0"),
    ("height: 64", 'height: "64"', 31, "is the text '64', expected a whole number, 16 or more"),
    ("height: 64", "height: 65", 31, "must be a multiple of 16"),
    ("height: 64", "height: yes", 31, "is true, expected a whole number"),
    ("height: 64", "height: [64]", 31, "is a list, expected a whole number"),
    ("meta_path: data/demo/images.jsonl\n", "", 1, "meta_path: is missing: the file or folder"),
    ("meta_path: data/demo/images.jsonl", "meta_path:", 2, "meta_path: has no value"),
    ("meta_path:", "meta_pth:", 2, "unknown key, did you mean 'meta_path'?"),
    ("seed: 3", "seed: 3\nseed: 4", 10, "given twice, in line 9 and in line 10"),
    ("seed: 3", "seed: 3\nbanana: 4", 10, "banana: unknown key. Allowed: name, meta_path,"),
    ("seed: 3", "schedule: '0 2 * *'", 9, "schedule: is the text '0 2 * *': a time has 5 fields"),
    ("seed: 3", "automation: lazy", 9, "automation: is the text 'lazy', expected"),
    (
        "seed: 3",
        "schedule: '@daily'\ntimezone: Berlin",
        10,
        "timezone: is the text 'Berlin': no such time zone",
    ),
    ("format: jsonl", "format: csv", 8, "is the text 'csv', expected 'jsonl' or 'parquet'"),
    ("shards: 8", "shards: 0", 6, "is the number 0, expected a whole number, 1 to 100000"),
    ("shards: 8\n", "", 6, "shards_per_run: counts shards; give 'shards'"),
    ("max_failed: 0.05", "max_failed: 5%", 10, "is the text '5%', expected a number, 0 to 1"),
    ("image_key: picture", "image_key: text", 4, "as text_key is"),
    ("id_key: id", "id_key: dataflow_id", 5, "does not begin with dataflow_"),
    ("id_key: id", "id_key: caption", 18, "'caption' is the pipeline's id_key"),
    ("name: demo", "name: my demo", 1, "expected a name of letters (a to z), digits and _"),
    ("[team:vision]", "[vision]", 11, "owners[0]: is the text 'vision', expected an e-mail"),
    ("{tier: gold}", "{ti er: gold}", 12, "tags.ti er: is no key to use here, expected a key"),
    ("{tier: gold}", "{tier: 1}", 12, "tags.tier: is the number 1, expected text; put it in"),
    ("memory: 32Gi", "memory: 32", 22, "is the number 32, expected a Kubernetes quantity such"),
    ("gpus: 1", "gpu: 1", 21, "steps[0].resources.gpu: unknown key, did you mean 'gpus'?"),
    ("cpus: 2", "cpus: 0", 13, "resources.cpus: is the number 0, expected a number, more than 0"),
    ("asset: first", "asset: raw_meta", 17, "is a name of ours"),
    ("asset: first", "assets: first", 17, "did you mean 'asset'?"),
    ("asset: first", "model_path: x", 17, "indent it below 'config:'"),
    ("      model_path: ", "      asset: ", 24, "put it beside 'config:', not below"),
    ("    name: FLUXGenerator\n", "", 28, "steps[1].name: is missing: the model"),
    ("  - type: ImageGenerator\n    name", "  - name", 28, "steps[1].type: is missing"),
    ("type: ImageGenerator", "type: 3", 28, "steps[1].type: is the number 3, expected text"),
    ("  # drawn again", "  - LLaVACaptioner", 27, "steps[1]: is the text 'LLaVACaptioner', "),
    ("  # drawn again", "  -", 27, "steps[1]: has no value, expected a mapping with the keys"),
    (
        "    config:\n      height: 64\n      width: 64\n",
        "    config: fast\n",
        30,
        "is the text 'fast', expected",
    ),
    ("  - type: ImageGenerator\n    name", "  -type: X\n    name", 28, "|   - type: X"),
    ("    name: FLUXGenerator", "   name: FLUXGenerator", 29, "|     name: FLUXGenerator"),
    ("    name: FLUXGenerator", "\tname: FLUXGenerator", 29, "is a tab (→); YAML takes spaces"),
    ('prompt: "Say', "prompt: {{ Say }} #", 26, "braces in a text want quotes"),
    ('prompt: "Say', 'prompt: {Say} # "', 26, "a text that begins with { wants quotes"),
    ("${MEDIA}", "${MEDIA:-x}", 3, "${MEDIA:-x} is not understood; write ${NAME}"),
    ("*defaults", "*default", 20, "marked &name above"),
    ("steps:\n", "steps: 3\nbanana:\n", 14, "expected a list of steps, each begun by '- type:'"),
    ("steps:\n", "steps: []\nbanana:\n", 14, "is an empty list, expected a list of steps"),
]


@pytest.mark.parametrize(("old", "new", "line", "words"), BROKEN)
def test_a_broken_pipeline_is_told_with_its_line(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    told = _error(GOOD.replace(old, new, 1)).splitlines()
    where = next(one for one in told if one.startswith(f"{PATH}:{line}: "))
    after = "\n".join(told[told.index(where) :])
    assert words in (where if "|" not in words else after)


def test_all_problems_are_told_at_once_in_order_of_line() -> None:
    text = GOOD.replace("seed: 3", "sed: 3").replace("height: 64", "height: x")
    lines = _error(text.replace("asset: first", "asset: results")).splitlines()
    assert [line.split(":")[1] for line in lines] == ["9", "17", "31"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "data/x.yaml:1: the file is empty; a pipeline begins with 'meta_path:'"),
        ("# nothing\n", "the file is empty"),
        ("- type: ImageCaptioner\n", "the file is a list; a pipeline begins with"),
        ("just words\n", "the file is the text 'just words'"),
        ("42", "the file is the number 42"),
        ("meta_path: m\nsteps:\n  -type: A\n", "x.yaml:2: steps: a space is missing after the"),
        ("meta_path: m\nsteps:\n- type: A\nname: B\nconfig: {}\n", "x.yaml:5: config: is a key of"),
    ],
)
def test_a_text_that_is_no_pipeline_is_told_what_one_is(text: str, words: str) -> None:
    assert words in _error(text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"none\.yaml: there is no such file"):
        load_pipeline(tmp_path / "none.yaml")


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="is a folder, expected a YAML file"):
        load_pipeline(tmp_path)


def test_a_file_below_a_file_and_an_impossible_name_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(PipelineError, match="cannot be read"):
        load_pipeline(tmp_path / "a" / "b.yaml")
    with pytest.raises(PipelineError, match="cannot be read"):
        load_pipeline(Path("a\0b"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: 1\nb: \xff\n", ":2: byte 0xff is not UTF-8"),
        ("a: ü\n".encode("latin-1"), ":1: byte 0xfc is not UTF-8"),
        ("a: 1".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b'{"image": "a.jpg"}\n' * 100_000, "is larger than 1 MiB: is it metadata?"),
        (b"\x89PNG\r\n\x1a\n", "byte 0x89 is not UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(PipelineError) as raised:
        load_pipeline(file)
    assert words in str(raised.value)


SLIPS = (
    *("", " ", "\t", "\n", ":", "- ", "-", "{", "}", "[", "]", '"', "'", "#", "&a ", "*a", "<<: "),
    *("!!x ", "${", "|\n", ">", "%", "@", "? ", "~", "\0", "\x85", "\ud800", "é", "1e999", "0x"),
    "---\n",
)


def _mutated(chance: random.Random) -> str:
    """GOOD with one to four slips: characters, lines and blocks lost, doubled, moved, mistyped."""
    text = GOOD
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        to = min(len(text), at + chance.choice([0, 1, 1, 2, 5, 30]))
        start = chance.randrange(len(text) + 1)
        put = chance.choice([*SLIPS, text[at:to] * 2, text[start : start + 40]])
        text = text[:at] + put + text[to:]
    return text


@pytest.mark.parametrize("seed", range(8))
def test_no_slip_of_the_pen_ends_in_anything_but_a_pipeline_error(seed: int) -> None:
    chance = random.Random(seed)
    errors = [error for _ in range(60) if (error := _refusal(_mutated(chance))) is not None]
    assert len(errors) > 20
    for error in errors:
        assert all(problem.message for problem in error.problems)
        assert str(error).startswith(str(PATH))


def _refusal(text: str) -> PipelineError | None:
    try:
        parse_pipeline(text, PATH)
    except PipelineError as error:
        return error
    return None


def test_a_pipeline_is_read_without_heavy_libraries() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from dataflow_dagster.schema.loading import parse_pipeline\n"
        "parse_pipeline(sys.stdin.read(), Path('x.yaml'))\n"
        "heavy = ['torch', 'vllm', 'diffusers', 'transformers', 'pandas', 'pyarrow', 'numpy',"
        " 'PIL', 'dagster']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=GOOD, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_number_for_a_folder_is_shown() -> None:
    with pytest.raises(PipelineError, match="base_folder: is the number 5, expected a folder"):
        parse_pipeline(GOOD + "base_folder: 5\n", Path("x.yaml"))


def test_keys_of_a_model_that_are_left_empty_are_not_said() -> None:
    said = parse_pipeline(GOOD.replace("height: 64", "height:"), Path("x.yaml"))
    left_out = parse_pipeline(GOOD.replace("      height: 64\n", ""), Path("x.yaml"))
    assert said.steps[1].config == left_out.steps[1].config


def test_keys_that_only_hold_anchors_mean_nothing() -> None:
    text = "x-mine: &it {prompt: hi, model_path: '${NOT_USED}'}\n" + GOOD
    text = text.replace("temperature: 1e-3", "temperature: 1e-3\n      <<: *it")
    pipeline = parse_pipeline(text, Path("x.yaml"))
    assert pipeline.steps[0].config.model_dump()["model_path"] == "models/llava"
    assert [one.name for one in parse_pipeline(GOOD, Path("x.yaml")).references] == ["MEDIA"]
    with pytest.raises(PipelineError, match="x_mine"):
        parse_pipeline("x_mine: 3\n" + GOOD, Path("x.yaml"))


def test_a_tilde_stands_for_the_user_s_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = GOOD.replace("data/demo/images.jsonl", "~/in.jsonl")
    text = text.replace("models/llava", "~/models/llava") + "base_folder: ~/base\nsave_folder: ~/\n"
    pipeline = parse_pipeline(text, Path("x.yaml"))
    assert pipeline.meta_path == "/home/me/in.jsonl"
    assert (pipeline.base_folder, pipeline.save_folder) == ("/home/me/base", "/home/me/")
    assert pipeline.steps[0].config.model_dump()["model_path"] == "/home/me/models/llava"
    assert pipeline.with_environment({"MEDIA": "~/media"}).meta_folder == "/home/me/media"
    plain = parse_pipeline(GOOD.replace("data/demo", "~data~"), Path("x.yaml"))
    assert plain.meta_path == "~data~/images.jsonl"


@pytest.mark.parametrize("key", ["name", "asset"])
def test_a_name_that_no_file_could_have_is_refused(key: str) -> None:
    old = {"name": "name: demo", "asset": "asset: first"}[key]
    with pytest.raises(PipelineError, match="at most 100"):
        parse_pipeline(GOOD.replace(old, f"{key}: {'a' * 101}"), Path("x.yaml"))
    parse_pipeline(GOOD.replace(old, f"{key}: {'a' * 100}"), Path(f"{'x' * 200}.yaml"))


STEP = "steps:\n  - type: ImageCaptioner\n    name: LLaVACaptioner\n"
SPACE = "is none to YAML (U+00A0)"


@pytest.mark.parametrize(
    ("text", "lines", "words"),
    [
        ("meta_path: a\n" + STEP.replace("    name", "\u00a0\u00a0\u00a0\u00a0name"), [4], SPACE),
        ("meta_path: a\n" + STEP.replace("  ", "\u00a0\u00a0"), [3, 4], SPACE),
        ("meta_path: a\n" + STEP + "    config:\n\u3000\u3000prompt: x\n", [6], "(U+3000)"),
        (
            "meta_path: a\nsteps:\n  \u2013 type: A\n",
            [3],
            "the dash is not a plain one (\u2013, U+2013)",
        ),
        (
            "meta_path: a\n" + STEP + "    config:\n      prompt\uff1ax\n",
            [6],
            "full-width one (\uff1a)",
        ),
    ],
)
def test_signs_that_only_look_like_yaml_s_are_told_where_they_stand(
    text: str, lines: list[int], words: str
) -> None:
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(text, Path("x.yaml"))
    assert [problem.line for problem in raised.value.problems] == lines
    assert all(words in problem.message for problem in raised.value.problems)


@pytest.mark.parametrize(
    "prompt",
    [
        "|\n        \u3000\u3000图片\uff1a说一说\uff0c好。\n        Q\uff1awhat",
        '"Q\uff1awhat\uff0cis it"',
        "Q\uff1awhat",
    ],
)
def test_such_signs_in_a_text_are_the_text_s_own(prompt: str) -> None:
    text = f"meta_path: a\n{STEP}    config:\n      prompt: {prompt}\n"
    assert (
        "Q\uff1awhat" in str(parse_pipeline(text, Path("x.yaml")).steps[0].config) or "好" in prompt
    )
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(text + "      width: 3\n", Path("x.yaml"))
    assert "full-width" not in str(raised.value)
