"""A whole pipeline from the user's file to the results, without Dagster."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from dataflow_dagster.ledger import trail
from dataflow_dagster.ledger.manifest import Manifest, Tally, sum_of
from dataflow_dagster.rows import Row, decode
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.file_input import file_keys, file_shards, register_files
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.raw_meta import RawMeta, input_index
from dataflow_dagster.steps.results import Results
from dataflow_dagster.stores import mirrors


def step(name: str, **keys: Any) -> dict[str, Any]:
    """One step of type ``Probe``; keys that are not a step's own go into its ``config``."""
    own = {"input_key", "output_key", "asset", "resources"}
    config = {key: value for key, value in keys.items() if key not in own}
    said = {key: value for key, value in keys.items() if key in own}
    return {"type": "Probe", "name": name, **said, "config": config}


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def draw(path: Path, color: tuple[int, int, int] = (255, 0, 0), side: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), color).save(path)
    return path


class Ground:
    """A folder with a user's input in ``in``; rows and results go to ``base`` and ``out``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "in"
        self.source.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"

    def rows(self, *rows: Any) -> None:
        write_rows(self.source / "rows.jsonl", rows)

    def pipeline(self, *steps: dict[str, Any], **keys: Any) -> PipelineSpec:
        return load_pipeline(self.file(*steps, **keys))

    def file(self, *steps: dict[str, Any], **keys: Any) -> Path:
        """The pipeline's YAML, for a process of its own."""
        for one in steps:
            if one["type"] == "Probe":
                one["config"] = {"log": str(self.log), **one["config"]}
        said = {
            "name": "probes",
            "meta_path": str(self.source / "rows.jsonl"),
            "base_folder": str(self.folder / "base"),
            "save_folder": str(self.folder / "out"),
            **keys,
            "steps": list(steps),
        }
        path = self.folder / "probes.yaml"
        path.write_text(yaml.safe_dump(said, allow_unicode=True))
        return path

    def run(self, *steps: dict[str, Any], recompute: bool = False, **keys: Any) -> "Outcome":
        self.log.unlink(missing_ok=True)
        return run(self.pipeline(*steps, **keys), recompute=recompute)

    def asked(self) -> list[str]:
        """Prompts the engines answered since the last run began."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix("ask ") for line in lines if line.startswith("ask ")]

    def opened(self) -> int:
        """How many engines were opened since the last run began."""
        return self.log.read_text().splitlines().count("open") if self.log.exists() else 0


class Outcome:
    """What a run left: manifests and rows by asset, all shards one after the other."""

    def __init__(self, pipeline: PipelineSpec, manifests: dict[str, list[Manifest]]) -> None:
        self.pipeline = pipeline
        self.manifests = manifests
        self._layout = Layout(pipeline)

    def tally(self, asset: str) -> Tally:
        return sum_of(manifest.tally for manifest in self.manifests[asset])

    def rows(self, asset: str = RESULTS) -> list[Row]:
        keys = partition_keys(self.pipeline)
        return [row for key in keys for row in self._layout.shard(asset, key).rows()]

    def errors(self) -> list[Row]:
        path = self._layout.errors()
        mirrors.bring(path)
        return [decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def kinds(self, asset: str) -> list[str | None]:
        """Each row's kind of error in one asset, or None."""
        return [(row.get("dataflow_error") or {}).get("kind") for row in self.rows(asset)]


def many(ground: "Ground", count: int = 12) -> None:
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(count)))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` but manifests, which hold times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "manifest" not in path.name and "index" not in path.name
    }


def partition_keys(pipeline: PipelineSpec) -> list[str | None]:
    if pipeline.files_per_shard is not None:
        return list(file_keys(pipeline))
    if pipeline.shards is None:
        return [None]
    return [f"{part:05d}-of-{pipeline.shards:05d}" for part in range(pipeline.shards)]


def run(pipeline: PipelineSpec, *, recompute: bool = False, retry_failed: bool = False) -> Outcome:
    """Every asset of the pipeline, one after the other, as Dagster would."""
    mirrors.forget()
    if pipeline.files_per_shard is not None:
        register_files(pipeline)
    layout, keys = Layout(pipeline), partition_keys(pipeline)
    done = {RAW_META: _raw_meta(pipeline, recompute=recompute, retry_failed=retry_failed)}
    above = RAW_META
    for one in pipeline.steps:
        with StepRun(pipeline, one, recompute=recompute, retry_failed=retry_failed) as answering:
            done[one.asset] = [
                answering.answer_shard(layout.shard(above, key), layout.shard(one.asset, key))
                for key in keys
            ]
        above = one.asset
    results = Results(pipeline)
    done[RESULTS] = [
        results.write_shard(
            layout.shard(above, key), layout.shard(RESULTS, key), recompute=recompute
        )
        for key in keys
    ]
    return Outcome(pipeline, done)


def _raw_meta(pipeline: PipelineSpec, *, recompute: bool, retry_failed: bool) -> list[Manifest]:
    layout, keys = Layout(pipeline), partition_keys(pipeline)
    targets = [layout.shard(RAW_META, key) for key in keys]
    how = {"recompute": recompute, "retry_failed": retry_failed}
    if pipeline.files_per_shard is None:
        step = RawMeta(pipeline, input_index(pipeline))
        return [step.write_shard(one, at, len(keys), **how) for at, one in enumerate(targets)]
    with file_shards(pipeline) as shards:
        shards.read(map(str, keys))
        return [
            RawMeta(pipeline, shards.index(str(key))).write_shard(one, 0, 1, **how)
            for key, one in zip(keys, targets, strict=True)
        ]


def open_files() -> set[str]:
    """Regular files this process has open."""
    targets: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("/"):
            targets.add(target)
    return targets


if __name__ == "__main__":
    from dataflow_dagster_tests.steps.probes import register

    register()
    trail.SEND_S = 0.5
    run(load_pipeline(Path(sys.argv[1])))
