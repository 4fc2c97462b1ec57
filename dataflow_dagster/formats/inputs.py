"""What `meta_path` means: which files, in which order, of which format."""

import difflib
import glob
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.formats.format import Format, InputError
from dataflow_dagster.formats.lookup import ENDINGS, FORMATS, ending, format_of
from dataflow_dagster.formats.pictures import PICTURE_ENDINGS, PictureFolder
from dataflow_dagster.places import AnyPath, place


@dataclass(frozen=True, slots=True)
class Input:
    """Files of one format, read one after the other; a folder of pictures counts as one."""

    format: Format
    files: tuple[AnyPath, ...]


def find_input(meta_path: str, image_key: str = "image") -> Input:
    """A file, a glob, a folder with metadata files, or a folder of pictures.

    Files are taken in order of their paths; names that begin with a dot are passed over. A folder
    that holds a metadata file beside pictures is a folder of metadata.

    Raises:
        InputError: Nothing is there, or files of several formats are.
    """
    try:
        return _find(meta_path, image_key)
    except OSError as refused:
        raise InputError(meta_path, f"cannot be looked at: {refused}") from refused


def nothing_in(meta_path: str) -> str:
    """What to say of an input that has no rows."""
    if not place(meta_path).is_dir():
        return f"{meta_path} is empty"
    pictures = ", ".join(sorted(PICTURE_ENDINGS))
    kinds = f"of rows ({', '.join(FORMATS)}; also with .gz) and no picture ({pictures})"
    return f"{meta_path} holds no file {kinds}"


def base_of(meta_path: str) -> AnyPath:
    """The folder that holds the files of an input: itself, or the one a glob begins in."""
    path = place(meta_path)
    if path.is_dir():
        return path
    return next(above for above in path.parents if not glob.has_magic(str(above)))


def _find(meta_path: str, image_key: str) -> Input:
    path = place(meta_path)
    if not isinstance(path, Path):
        path.fs.invalidate_cache()  # it remembers listings for as long as the process lives
    if path.is_dir():
        files = [file for file in path.iterdir() if ending(file) and _is_input(file)]
        return _of_one_format(path, files) if files else Input(PictureFolder(image_key), (path,))
    if path.exists():
        return Input(format_of(path), (path,))
    if not glob.has_magic(meta_path):
        raise InputError(meta_path, f"there is no such file or folder{_hint(path)}")
    return _of_one_format(path, [file for file in _matching(path) if _is_input(file)])


def _is_input(path: AnyPath) -> bool:
    return not path.name.startswith(".") and path.is_file()


def _matching(pattern: AnyPath) -> list[AnyPath]:
    if isinstance(pattern, Path):
        base = next(above for above in pattern.parents if not glob.has_magic(str(above)))
        return list(base.glob(str(pattern.relative_to(base))))
    base = next(above for above in pattern.parents if not glob.has_magic(str(above)))
    return list(base.glob(str(pattern).removeprefix(str(base)).lstrip("/")))


def _of_one_format(path: AnyPath, found: list[AnyPath]) -> Input:
    if not found:
        raise InputError(path, "no file has a name like this")
    files = sorted(found, key=str)
    formats = {type(format_of(file)): file for file in files}
    if len(formats) > 1:
        names = ", ".join(file.name for file in formats.values())
        raise InputError(path, f"holds files of several formats ({names}); one is allowed")
    return Input(format_of(files[0]), tuple(files))


def _hint(path: AnyPath) -> str:
    if not path.parent.is_dir():
        return f"; nor is there the folder {path.parent}"
    names = [entry.name for entry in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{path.parent / close[0]}'?"
    return f"; a file is one of {', '.join(ENDINGS)}"
