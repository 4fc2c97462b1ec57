"""Where a row's drawn picture goes, and putting it there."""

import os
import re
import shutil
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from dataflow_dagster.media.clips import clip_extension
from dataflow_dagster.media.hosts import shown
from dataflow_dagster.media.pictures import picture_extension
from dataflow_dagster.places import AnyPath, is_url
from dataflow_dagster.rows import NAME, REPEAT, Medium, Row, RowError

_MAX_PART_BYTES = 180  # file systems allow 255; what is appended to a stem fits in the rest
_PLAIN = re.compile(r"[A-Za-z0-9_.#~+-]{1,180}")
"""Names that need no closer look, which takes ten times as long."""
_MAX_NAME_BYTES = 1000  # PATH_MAX is 4096; the folder that the name is below needs room too


def name_after(value: object, meta_folder: AnyPath, row_id: str, clip: object = None) -> str:
    """What a row's outputs are named after: its own medium's path below `meta_folder`, or its id.

    Args:
        value: The row's own image value.
        meta_folder: Relative values are below it.
        row_id: Names the outputs of a row without a medium.
        clip: The row's own video value, which counts where there is no picture.

    Returns:
        A relative POSIX path with an extension that has an encoder, without ``..``.
    """
    extension = picture_extension
    if not (isinstance(value, str) and value):
        value, extension = clip, clip_extension
    path = _relative(value, meta_folder) if isinstance(value, str) and value else None
    given = () if path is None else path.parts
    parts = [_safe(part) for part in given if part not in (".", "..", "/")]
    if not parts:
        return f"{_safe(row_id.replace('/', '_'))}.png"
    name = _short(PurePosixPath(*parts))
    stem = name.stem if name.suffix else name.name
    return str(name.with_name(stem + extension(name.suffix)))


def with_hash(name: str, row_id: str) -> str:
    """`name` made its own by the first 8 hex digits of the id's hash."""
    path = PurePosixPath(name)
    digest = blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return str(path.with_name(f"{path.stem}_{digest}{path.suffix}"))


def generated_name(row: Row, medium: Medium = "image") -> str:
    """The new medium's path below the asset's media folder: ``cats/a_generated.jpg``."""
    path = PurePosixPath(row[NAME])
    extension = clip_extension if medium == "video" else picture_extension
    stem = f"{path.stem}_generated{row.get(REPEAT) or ''}"
    return str(path.with_name(stem + extension(path.suffix)))


def told_apart(name: str, *, clips: bool) -> str:
    """Equal for names whose generated media would be one file; `clips` have endings of their own.

    A picture a.jpg and a picture a.png become one clip a.mp4.
    """
    stem, _, ending = name.rpartition(".")  # a PurePosixPath takes ten times as long
    if not stem or stem.endswith("/") or not ending or "/" in ending:
        stem, ending = name, ""
    return stem if clips else stem + picture_extension(f".{ending}" if ending else "")


def path_below(folder: Path, relative: str) -> Path:
    """`folder` / `relative`, held to lie below `folder` on disk, its parents made.

    Raises:
        RowError: ``outside_folder``: a symbolic link on the way leads out; ``name_taken``: a file
            stands where a folder must be, or a folder where the file must be.
        OSError: `folder` itself cannot be made.
    """
    path = folder / relative
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or not _leads_below(path.parent, folder):
        raise RowError("outside_folder", f"{path} would be written outside {folder}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as taken:
        raise RowError("name_taken", f"{path}: a file stands where a folder must be") from taken
    if path.is_dir():
        raise RowError("name_taken", f"{path}: a folder stands where the file must be")
    return path


def file_digest(path: Path) -> str | None:
    """Hash of a file's bytes, 32 hex digits; None where there is no such file."""
    try:
        return bytes_digest(path.read_bytes())
    except OSError:
        return None


def bytes_digest(content: bytes) -> str:
    """The same of a file's bytes."""
    return blake2b(content, digest_size=16).hexdigest()


def place_picture(made: Path, saved: Path) -> None:
    """Put a finished picture elsewhere too, as a second name of the same file if it can.

    Raises:
        FileNotFoundError: `made` is gone.
    """
    if saved.exists() and saved.samefile(made):
        return  # renaming one name of a file over another does nothing and leaves both
    part = saved.with_name(saved.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.link(made, part)
    except OSError:
        shutil.copy2(made, part)
    part.replace(saved)


def _leads_below(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that go round
        return False


def _short(path: PurePosixPath) -> PurePosixPath:
    """The path, its folders by their hash alone where they are too long to be repeated."""
    if len(str(path).encode("utf-8", "replace")) <= _MAX_NAME_BYTES:
        return path
    digest = blake2b(str(path.parent).encode("utf-8", "surrogatepass"), digest_size=8)
    return PurePosixPath(digest.hexdigest(), path.name)


def _relative(value: str, meta_folder: AnyPath) -> PurePosixPath | None:
    if "\0" in value:
        return None
    if is_url(value):
        below = value.removeprefix(f"{str(meta_folder).rstrip('/')}/")
        return PurePosixPath(below if below != value else shown(value).rpartition("/")[2])
    path = Path(value)
    if not path.is_absolute():
        return PurePosixPath(value)
    if not isinstance(meta_folder, Path):
        return PurePosixPath(path.name)
    if path.is_relative_to(meta_folder.absolute()):
        return PurePosixPath(path.relative_to(meta_folder.absolute()).as_posix())
    return PurePosixPath(path.name)


def _safe(part: str) -> str:
    """One path component that every file system takes; told apart by hash where it was changed."""
    if _PLAIN.fullmatch(part) and part not in (".", ".."):
        return part
    encoded = part.encode("utf-8", "replace")
    clean = "".join(
        char if char.isprintable() and char not in '\\:*?"<>|' else "_" for char in part
    )
    if clean == part and len(encoded) <= _MAX_PART_BYTES and part not in (".", ".."):
        return part
    digest = blake2b(part.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    suffix = PurePosixPath(clean).suffix if len(PurePosixPath(clean).suffix) <= 10 else ""
    stem = clean.encode("utf-8", "replace")[: _MAX_PART_BYTES - 30].decode("utf-8", "ignore")
    return f"{stem.removesuffix(suffix)}_{digest}{suffix}"
