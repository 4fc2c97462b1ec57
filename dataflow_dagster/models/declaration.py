"""What every model declares: the keys of its ``config``, what it reads, and how it is opened."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from math import prod
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from dataflow_dagster.engines.session import NOTHING, Engine, Request, Session
from dataflow_dagster.rows import Medium, Row

SPLITTING: Final = ("tensor_parallel_size", "pipeline_parallel_size")
"""Config keys that split one copy of a model over several GPUs."""


class Given(NamedTuple):
    """What a step hands a model of one row.

    Attributes:
        number: The output row's number; the answer comes back under it.
        seed: In [0, 2**63), from (pipeline seed, step, row id, repeat index).
        text: The newest text, or that of the step's ``input_key``; None where the row has none.
        image: Path of the newest picture; None where the row has none.
        video: Path of the newest clip; None where the row has none.
        columns: Those of `Model.columns` that the row has, as the user wrote them.
        row: All of the row, where the model takes that; not to be changed.
    """

    number: int
    seed: int
    text: str | None = None
    image: str | None = None
    video: str | None = None
    columns: Mapping[str, Any] = NOTHING
    row: Row | None = None


class Model(BaseModel, ABC):
    """A named model. A subclass's fields are the keys its step's ``config`` may have.

    Attributes:
        reads: The medium a row must have for this step to be of use; without it: ``skipped``.
        reads_too: Another medium that goes along with it, of rows that have it; None: none.
        writes: The medium of the answer.
        asset: The name of the step's asset where the YAML gives none.
        old_keys: Old spelling of a config key → the field it means.
        outside_key: Fields that never change an answer, only how fast or where it is made.
        stands_for: Of these, what only says where that lies which answers, such as ``model_path``:
            what is found there stands in the key, and another place makes another step.
        code_version: To be raised when this class comes to answer differently.
        named_by: A field that a step's ``name`` may give in place of this class's name: any name
            with a colon in it, such as ``my_package.cleaning:clean``.
        ahead: Rows prepared before the engine asks for them; each holds its medium in memory.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    reads: ClassVar[Medium]
    reads_too: ClassVar[Medium | None] = None
    writes: ClassVar[Medium]
    asset: ClassVar[str]
    old_keys: ClassVar[Mapping[str, str]] = {}
    outside_key: ClassVar[frozenset[str]] = frozenset()
    stands_for: ClassVar[frozenset[str]] = frozenset({"model_path", "motion_adapter"})
    code_version: ClassVar[int] = 1
    named_by: ClassVar[str | None] = None
    ahead: ClassVar[int] = 32

    repeat_time: int = Field(1, ge=1, description="answers asked for per row")
    seed: int | None = Field(None, description="this step's seed; default: the pipeline's")

    @abstractmethod
    def engine(self) -> Engine:
        """Which engine will answer; decided without loading it.

        Raises:
            EngineMissingError: None that serves this model is installed; says how to install one.
        """

    @abstractmethod
    def request(self, given: Given) -> Request:
        """Decode and render one row; runs in a pool beside the engine.

        Raises:
            RowError: The row cannot be used.
        """

    def takes_row(self) -> bool:
        """Whether `Given.row` is wanted; then all of the row decides its answer. Asked at work."""
        return False

    def fetch(self, say: Callable[[str], None]) -> None:  # most have nothing to fetch
        """Bring what the engine will read onto this host, before rows are prepared.

        Args:
            say: Told of the progress.

        Raises:
            ModelMissingError: It does not exist, or may not be had.
        """

    def notes(self) -> Mapping[str, str]:
        """What is known of it once it is fetched, for the manifest; decides no answer."""
        return {}

    @abstractmethod
    def open(self, engine: Engine) -> Session:
        """Load the model into `engine`. Heavy libraries are imported here and not before."""

    def columns(self) -> tuple[str, ...]:
        """Columns of the user's row that decide the answer beside the medium, as a clip's part.

        They tell of the user's own medium: of what an earlier step made they are not read.
        """
        return ()

    def gpus_of_one(self) -> int:
        """GPUs that one copy of the model is split over: the product of its ``…_parallel_size``."""
        return prod(getattr(self, key) for key in SPLITTING if key in type(self).model_fields)

    def key_settings(self) -> dict[str, Any]:
        """All of this declaration that decides an answer: what goes into every row's key."""
        return {
            "class": type(self).__name__,
            "code_version": self.code_version,
            **self.model_dump(mode="json", exclude={*self.outside_key, "repeat_time", "seed"}),
        }
