"""What can be told of a model's folder without loading it."""

import json
import re
from pathlib import Path
from typing import Any, Final, cast

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.rows import fingerprint

PRECISIONS: Final = ("float32", "bfloat16", "float16")

_HUB_NAME: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_DECISIVE: Final = frozenset(
    {".bin", ".gguf", ".jinja", ".json", ".model", ".pt", ".pth", ".py", ".safetensors", ".txt"}
)


def check_model_path(model_path: str) -> None:
    """Tell a mistyped folder before a library takes it for a name on the Hub and goes to look.

    Raises:
        UnfitSettingError: Neither a folder, nor of the form that names on the Hub have.
    """
    if not Path(model_path).is_dir() and not _HUB_NAME.fullmatch(model_path):
        raise UnfitSettingError(
            "model_path", model_path, f"there is no such folder (looked from {Path.cwd()})"
        )


def revision(model_path: str, hub_revision: str | None = None) -> str:
    """Changes when the model's files change; equal for a folder that was only moved.

    Args:
        model_path: A folder, or a name on the Hugging Face Hub, which stands for itself.
        hub_revision: Branch, tag or commit on the Hub, where one is named.

    Returns:
        For a folder 32 hex digits over the relative names, sizes and modification times (ns) of
        its configuration, tokenizer and weight files; else `model_path`, with ``@<revision>``.
    """
    folder = Path(model_path)
    if not folder.is_dir():
        return model_path if hub_revision is None else f"{model_path}@{hub_revision}"
    files = sorted(path for path in folder.rglob("*") if path.suffix in _DECISIVE)
    return fingerprint([_state(path, folder) for path in files])


def commit_of(folder: str) -> str | None:
    """The commit of a model in a cache of the Hub, ``…/snapshots/<commit>``; None elsewhere."""
    path = Path(folder)
    return path.name if path.parent.name == "snapshots" else None


def stored_precision(model_path: str) -> str | None:
    """The precision that ``config.json`` in the folder names; None where it is not known."""
    for part in _config_parts(model_path):
        name = str(part.get("dtype") or part.get("torch_dtype")).removeprefix("torch.")
        if name in PRECISIONS:
            return name
    return None


def context_length(model_path: str) -> int | None:
    """The most tokens that ``config.json`` in the folder gives the model; None where not known.

    A model whose positions are scaled takes more than it says, which its engine works out.
    """
    parts = _config_parts(model_path)
    if any(part.get("rope_scaling") for part in parts):
        return None
    lengths = (part.get("max_position_embeddings") for part in reversed(parts))
    return next((length for length in lengths if isinstance(length, int)), None)


def _config_parts(model_path: str) -> list[dict[str, Any]]:
    """``config.json`` and its part for the language model; empty where there is no such file."""
    file = Path(model_path) / "config.json"
    if not file.is_file():
        return []
    config = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
    return [config, config.get("text_config") or {}]


def _state(path: Path, folder: Path) -> tuple[str, int, int]:
    found = path.stat()
    return path.relative_to(folder).as_posix(), found.st_size, found.st_mtime_ns
