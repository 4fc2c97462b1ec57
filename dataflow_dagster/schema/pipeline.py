"""What a pipeline YAML may say, key by key, and what it means once it was read.

A key of a pipeline is one field of `PipelineOptions`, a key of a step one of `StepOptions`.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, SecretStr, SerializeAsAny

from dataflow_dagster.models.declaration import Model
from dataflow_dagster.rows import (
    CLIP,
    ERROR,
    GIVEN,
    ID,
    KEY,
    NAME,
    PICTURE,
    PREFIX,
    REPEAT,
    SOURCE_PREFIX,
    current,
)
from dataflow_dagster.schema.checks import Checks
from dataflow_dagster.schema.environment import Reference, resolved, unset
from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.values import (
    LONGEST_NAME,
    Column,
    Cores,
    Cron,
    Folder,
    Host,
    Name,
    Owner,
    Place,
    Pool,
    Quantity,
    Seconds,
    TagKey,
    Timezone,
    Variable,
)

MOST_SHARDS = 100_000
"""Static partition keys that load in 3.3 s (measured, Dagster 1.13.27)."""

RESERVED_ASSETS: Final = frozenset(
    {"raw_meta", "results"}
    | {name.removeprefix(PREFIX) for name in (CLIP, GIVEN, ID, KEY, ERROR, NAME, REPEAT, PICTURE)}
    | {current(medium).removeprefix(PREFIX) for medium in ("image", "text", "video")}
)
"""Names no step's asset may have: ours, and those whose answer column would be one of ours."""

_SOURCE = SOURCE_PREFIX.removeprefix(PREFIX)


class _Strict(BaseModel, strict=True, frozen=True, extra="forbid", regex_engine="python-re"):
    pass


class Resources(_Strict, frozen=True):
    """What a step's process asks for. None: nothing said, which is not 0."""

    gpus: int | None = Field(default=None, ge=0, description="GPUs the step holds, replicas' too")
    pool: Pool | None = Field(default=None, description="Dagster pool that limits concurrent steps")
    cpus: Cores | None = Field(default=None, description="CPU cores")
    memory: Quantity | None = Field(default=None, description="memory, as Kubernetes writes it")
    env: dict[Variable, SecretStr] | None = Field(
        default=None, description="environment variables of the step's process; never shown"
    )

    def merged_over(self, default: "Resources") -> "Resources":
        """Each value of ours, and where we say nothing, that of `default`; so each variable too."""
        said = {name: value for name, value in self if value is not None}
        if self.env is not None and default.env is not None:
            said["env"] = {**default.env, **self.env}
        return default.model_copy(update=said)

    def variables(self) -> dict[str, str]:
        """`env` in plain text, for a process's environment and nothing else."""
        return {name: value.get_secret_value() for name, value in (self.env or {}).items()}


class OnCron(_Strict, frozen=True):
    """Each asset once after each of these times, when what lies above it is done."""

    on_cron: Cron = Field(description="times, as cron writes them")


class StepOptions(_Strict, frozen=True):
    """The keys of a step that mean the same before and after reading."""

    type: str = Field(description="what the step does, such as ImageCaptioner")
    name: str = Field(description="the model, such as LLaVACaptioner")
    input_key: Column | None = Field(default=None, description="column the step reads")
    output_key: Column | None = Field(default=None, description="column its answer lands in")
    resources: Resources = Field(default=Resources(), description="what its process asks for")
    replicas: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        default=1, description="copies of the model that share the rows; auto: as gpus allow"
    )
    stall_timeout_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="longest silence of the engine"
    )
    checks: Checks = Field(default=Checks(), description="what its answers are held to")


class StepKeys(StepOptions, frozen=True):
    """A step as it is written."""

    asset: Name | None = Field(default=None, description="name of the step's asset")
    config: dict[str, Any] = Field(default={}, description="the model's own keys")


class StepSpec(StepOptions, frozen=True):
    """A step as it is understood.

    Attributes:
        position: From 1, in the order of the file.
        line: Where the step begins in the file, from 1.
        occurrence: From 1: how many steps of this type, model class and settings there are up to
            this one; settings that change no answer, such as ``batch_size``, aside.
        resources: The step's own over the pipeline's.
    """

    position: int
    line: int
    occurrence: int
    asset: str
    config: SerializeAsAny[Model]

    @property
    def folder(self) -> str:
        """Name of the step's folder under ``base_folder``."""
        return f"step_{self.position}_{self.type}_{self.name.replace(':', '.')}"

    @property
    def identity(self) -> str:
        """``type/Class``; of a second step like it ``type/Class#2``: what seeds hang on.

        It is the same when steps with other settings come or go, or an edit makes them other.
        """
        identity = f"{self.type}/{type(self.config).__name__}"
        return identity if self.occurrence == 1 else f"{identity}#{self.occurrence}"

    @property
    def copies(self) -> int:
        """`replicas` as a number: ``auto`` is as many as `resources` has GPUs for."""
        if self.replicas != "auto":
            return self.replicas
        return max(1, (self.resources.gpus or 0) // self.config.gpus_of_one())


class PipelineOptions(_Strict, frozen=True):
    """The keys of a pipeline that mean the same before and after reading."""

    name: Name = Field(description="group and key prefix of the pipeline's assets")
    meta_path: Place = Field(description="the file or folder the rows come from")
    meta_folder: Place | None = Field(
        default=None, description="folder that media paths start from"
    )
    base_folder: Folder = Field(
        default="intermediate_results/", description="folder of steps' rows"
    )
    save_folder: Folder = Field(default="results/", description="folder of the results")
    image_key: Column = Field(default="image", description="column of the picture's path")
    text_key: Column = Field(default="text", description="column of the text")
    video_key: Column = Field(default="video", description="column of the video's path")
    id_key: Column | None = Field(default=None, description="column that identifies a row")
    shards: int | None = Field(default=None, ge=1, le=MOST_SHARDS, description="parts of the input")
    files_per_shard: int | None = Field(default=None, ge=1, description="files of a shard")
    shards_per_run: int | None = Field(default=None, ge=1, description="shards one run takes")
    format: Literal["jsonl", "parquet"] = Field(default="jsonl", description="how rows are written")
    allowed_hosts: tuple[Host, ...] = Field(
        default=(), strict=False, description="servers that rows' http:// and https:// may name"
    )
    hash_media: bool = Field(default=False, description="media are told apart by their bytes")
    media_limit_mb: int = Field(default=512, ge=1, description="most MiB of a medium fetched")
    media_timeout: Seconds = Field(default=60.0, description="seconds to fetch, or to decode, one")
    seed: int = Field(default=0, description="what all random numbers are drawn from")
    schedule: Cron | None = Field(default=None, description="when it runs, as cron writes times")
    watch: int | None = Field(default=None, ge=1, description="seconds between looks for new files")
    automation: Literal["eager"] | OnCron | None = Field(
        default=None, description="when Dagster is to materialize assets by itself"
    )
    timezone: Timezone | None = Field(default=None, description="of schedule and on_cron")
    max_failed: float | None = Field(default=None, ge=0, le=1, description="share of failed rows")
    executor: Literal["multiprocess", "ray", "k8s"] = Field(
        default="multiprocess", description="who runs"
    )
    resources: Resources = Field(default=Resources(), description="default of the steps'")
    owners: tuple[Owner, ...] = Field(default=(), strict=False, description="owners of the assets")
    tags: dict[TagKey, str] = Field(default={}, description="tags of the assets")


class PipelineKeys(PipelineOptions, frozen=True):
    """A pipeline as it is written."""

    steps: list[StepKeys] = Field(
        min_length=1,
        json_schema_extra={"expected": "a list of steps, each begun by '- type:'"},
    )


class PipelineSpec(PipelineOptions, frozen=True):
    """A pipeline as it is understood: every key checked, every step's model found.

    Attributes:
        path: The YAML file.
        limit: Only so many rows of the input are read; set by `limited`, never by a YAML.
        warnings: What was accepted but should be written otherwise, each with file and line.
        references: The ``${NAME}`` in its texts, until `with_environment` has resolved them.
    """

    path: Path
    steps: tuple[StepSpec, ...]
    limit: int | None = None
    warnings: tuple[str, ...] = ()
    references: tuple[Reference, ...] = Field(default=(), repr=False)

    @property
    def is_sharded(self) -> bool:
        """Whether its assets have partitions."""
        return self.shards is not None or self.files_per_shard is not None

    def with_environment(self, environ: Mapping[str, str]) -> Self:
        """A copy in which every ``${NAME}`` outside prompts stands for the variable's value.

        Raises:
            PipelineError: A variable is not set, or its value is not allowed where it stands.
        """
        if problems := self.unset_variables(environ):
            raise PipelineError(self.path, problems)
        if not self.references:
            return self
        copy = resolved(self, environ, self.path, self.references)
        return copy.model_copy(update={"references": ()})

    def limited(self, rows: int) -> Self:
        """A copy that tries the pipeline on its first `rows` rows, apart from all that is real."""
        suffix = f"limit_{rows}"
        return self.model_copy(
            update={
                "limit": rows,
                "name": f"{self.name}_{suffix}",
                "shards": None,
                "files_per_shard": None,
                "base_folder": _beside(self.base_folder, suffix),
                "save_folder": _beside(self.save_folder, suffix),
            }
        )

    def unset_variables(self, environ: Mapping[str, str]) -> list[Problem]:
        """One problem for each ``${NAME}`` whose variable is not in `environ`."""
        return unset(self.references, environ)


def _beside(folder: str, suffix: str) -> str:
    """A folder of the same name and `suffix`; within it where it has no name: ``.``, a bucket."""
    path = folder.rstrip("/")
    named = path.partition("://")[2] if "://" in path else f"./{path}"
    has_name = "/" in named and named.rpartition("/")[2] not in ("", ".", "..")
    return f"{path}_{suffix}" if has_name else f"{path}/{suffix}"


def name_of(path: Path) -> str:
    """The pipeline's name where the YAML gives none: made of the file's."""
    return usable_name(path.stem)


def usable_name(text: str) -> str:
    """`text` as a name, what no name may hold as ``_``; by its hash where no letter is left."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)[:LONGEST_NAME] or "_"
    if text.isascii() or re.search(r"[A-Za-z]", name):
        return name
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"pipeline_{digest}"


def reserved_asset(name: str) -> bool:
    """Whether a step's asset of that name would be confused with one of ours."""
    return name in RESERVED_ASSETS or name.startswith(_SOURCE)
