"""What a pipeline writes may be nothing it reads: the source is never written."""

import os
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import Input
from dataflow_dagster.formats.pictures import PictureFolder
from dataflow_dagster.places import AnyPath, as_path, place
from dataflow_dagster.rows import RowError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout, meta_folder
from dataflow_dagster.stores.mirrors import address, mirror_of


class Written:
    """The places where a pipeline writes, as paths are told to lie in them or not."""

    def __init__(self, pipeline: PipelineSpec) -> None:
        layout = Layout(pipeline)
        drawing = [step for step in pipeline.steps if step.config.writes != "text"]
        assets = [RAW_META, *(step.asset for step in pipeline.steps), RESULTS]
        self._keys = {
            "base_folder": _both_ways(_place(layout.step_folder(s) / s.asset) for s in drawing),
            "save_folder": _both_ways(_place(layout.save_folder / s.asset) for s in drawing),
        }
        self._media = tuple(chain.from_iterable(self._keys.values()))
        self._rows = _both_ways(
            _place(path)
            for stem in (*map(layout.stem, assets), layout.save_folder / "errors")
            for path in (stem, stem.with_suffix(".jsonl"), stem.with_suffix(".parquet"))
        )

    def checked(self, path: str) -> str:
        """The path or URL of a medium that a row's value names.

        Raises:
            RowError: ``inside_output``: it may be overwritten by what is drawn.
        """
        if self._media and self.holds_medium(as_path(path)):
            message = (
                f"{path} lies in a folder this pipeline draws into; name another base_folder or"
                " save_folder"
            )
            raise RowError("inside_output", message)
        return path

    @property
    def draws(self) -> bool:
        """Whether any folder of media is written at all."""
        return bool(self._media)

    def key_of(self, path: Path) -> str | None:
        """The key of the YAML that puts drawings where `path` lies, its folder's links followed."""
        real, places = Path(real_path(path)), self._keys.items()
        return next((k for k, of in places if _inside(path, of) or _inside(real, of)), None)

    def holds_medium(self, path: Path) -> bool:
        """Whether `path` is, or lies in, a folder of drawn pictures."""
        return _inside(path, self._media)

    def holds_rows(self, path: Path) -> bool:
        """Whether `path` is, or lies in, a folder of rows or of drawn pictures."""
        return _inside(path, self._rows) or _inside(path, self._media)


def check_input(pipeline: PipelineSpec, found: Input) -> None:
    """Hold the pipeline to write over none of its input, and to read nothing it wrote.

    Raises:
        InputError: It would; says which folder to change.
    """
    written = Written(pipeline)
    for file in found.files:
        if written.holds_rows(_resolved(file)):
            raise InputError(file, "is written by this pipeline too; name another save_folder")
    folder = meta_folder(pipeline)
    if written.holds_medium(_resolved(folder)):
        raise InputError(folder, "is drawn into by this pipeline too; name another save_folder")
    for key in ("base_folder", "save_folder"):
        _check_outside(pipeline, key, found)


def _check_outside(pipeline: PipelineSpec, key: str, found: Input) -> None:
    """A folder of inputs may not hold what becomes an input of the next run."""
    given = getattr(pipeline, key)
    path = place(pipeline.meta_path)
    inner, outer = _resolved(place(given)), _resolved(path)
    pictures = isinstance(found.format, PictureFolder)
    draws = any(step.config.writes != "text" for step in pipeline.steps)
    within = inner.is_relative_to(outer) and not any(
        part.startswith(".") for part in inner.relative_to(outer).parts
    )
    if (inner == outer and path.is_dir()) or (pictures and draws and within):
        message = f"holds {key} {given}, so that what is written would be read as input"
        raise InputError(pipeline.meta_path, f"{message}; name a {key} outside")


def _place(path: Path) -> Path:
    """What is compared of a path: of one in a store, its URL's."""
    return path if mirror_of(path) is None else as_path(address(path))


def _resolved(path: AnyPath) -> Path:
    return path.resolve() if isinstance(path, Path) else as_path(str(path))


def _both_ways(paths: Iterator[Path]) -> tuple[str, ...]:
    """Each as it is written and as it is once links are followed."""
    given = list(paths)
    forms = [*map(_normal, given), *(str(path.resolve()) for path in given)]
    return tuple(dict.fromkeys(forms))


def _normal(path: Path) -> str:
    """Absolute, without ``..``, links as they are: following them costs a row 50 µs."""
    return os.path.normpath(path.absolute())


def real_path(path: Path) -> str:
    """Its folder's links followed, once for the many media of one folder; its own is not."""
    return os.path.join(_real(str(path.parent)), path.name)  # noqa: PTH118 - a `Path` takes longer


@lru_cache(4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _inside(path: Path, places: tuple[str, ...]) -> bool:
    full = _normal(path)
    return any(full == place or full.startswith(place + os.sep) for place in places)
