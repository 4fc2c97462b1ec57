"""A page's pipelines and commands, with models small enough for a test."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from dataflow_dagster.rows import Row
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.docs.reading import ROOT, blocks
from dataflow_dagster_tests.toys.pipelines import NAME, picture_rows, read_rows
from dataflow_dagster_tests.toys.process import run_python
from dataflow_dagster_tests.toys.runs import materialize

LLAVA = {"model_path": str(ROOT / "data/models/scenes_llava"), "backend": "transformers"}
FLUX = {
    "model_path": str(ROOT / "data/models/scenes_flux"),
    "height": 64,
    "width": 64,
    "num_inference_steps": 2,
    "max_sequence_length": 32,
    "batch_size": 4,
}
SMALL = {
    **dict.fromkeys(("LLaVACaptioner", "VLMCaptioner", "ScenesCaptioner"), LLAVA),
    **dict.fromkeys(("FLUXGenerator", "DiffusersGenerator"), FLUX),
}


def small(place: Path, block: str, name: str = "page") -> PipelineSpec:
    """The page's pipeline, each model of it replaced by one that fits a test."""
    document: dict[str, Any] = yaml.safe_load(block)
    for step in document["steps"]:
        step["config"] = {**step.get("config", {}), **SMALL[step["name"]]}
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_pipeline(path)


def coloured(place: Path, block: str, name: str, pictures: int) -> PipelineSpec:
    """The page's pipeline, as one that names the colour of so many pictures: in no time."""
    document: dict[str, Any] = yaml.safe_load(block)
    document["steps"] = [NAME]
    shutil.rmtree(place / "photos")
    picture_rows(place / "photos", pictures)
    for number in range(pictures):
        (place / f"photos/{number}.png").rename(place / f"photos/scene-{number + 1:03d}.png")
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_pipeline(path)


def commands_of(page: Path) -> list[list[str]]:
    """Arguments of our command line, in the order of the page."""
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    ours = [line for line in lines if line.startswith("python -m dataflow_dagster ")]
    return [line.split(" | ")[0].split()[3:] for line in ours]


def tell(arguments: list[str]) -> str:
    """What a command says, in a process of its own; it must end well."""
    done = run_python(Path.cwd(), "-m", "dataflow_dagster", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def results(of: PipelineSpec) -> list[Row]:
    files = sorted(Path(of.save_folder).rglob("0*.jsonl" if of.is_sharded else "result*.jsonl"))
    return [row for file in files if "errors" not in file.parts for row in read_rows(file)]


def run(of: PipelineSpec) -> list[Row]:
    shards = None if of.shards is None else [0, of.shards - 1]
    assert materialize(of, shards=shards).success
    return results(of)
