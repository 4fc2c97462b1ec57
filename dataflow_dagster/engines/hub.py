"""Models of the Hugging Face Hub, fetched once for each host before an engine opens them."""

import io
import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dataflow_dagster.engines.errors import (
    HubUnreachableError,
    ModelMissingError,
    UnfitSettingError,
)

Say = Callable[[str], None]

TELL_EVERY_S: Final = 10.0

_WEIGHTS: Final = frozenset({".bin", ".ckpt", ".pt", ".pth", ".safetensors"})
_NEVER: Final = frozenset(
    {".gif", ".h5", ".jpeg", ".jpg", ".mp4", ".msgpack", ".onnx", ".ot", ".png", ".tflite"}
)
_OTHER_RUNTIMES: Final = frozenset({"coreml", "flax", "onnx", "openvino", "original"})
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|ema|non_ema)(?=[.-])")


def fetched(
    model_path: str,
    revision: str | None = None,
    *,
    folder: str | None = None,
    say: Say | None = None,
) -> str:
    """The local folder of a model; a model of the Hub is brought there if it is not yet.

    A download that was interrupted goes on where it ended. Of weights that a repository holds
    several times (``.bin`` beside ``.safetensors``, half precision beside full, one file beside
    the parts of a pipeline) one copy is fetched.

    Args:
        model_path: A folder, or a name on the Hub.
        revision: Branch, tag or commit on the Hub; None: ``main``.
        folder: Where models are kept; None: the Hub's cache (``HF_HOME``).
        say: Told of the progress.

    Raises:
        ModelMissingError: There is no such model or revision, or it may not be had.
        HubUnreachableError: The Hub does not answer, and the model is not on this host.
        UnfitSettingError: A revision of a folder.
    """
    if Path(model_path).is_dir():
        if revision is not None:
            raise UnfitSettingError("revision", revision, "model_path is a folder; leave it out")
        return model_path
    known = (model_path, revision, folder)
    if known not in _fetched:
        with _told_plainly(model_path, revision), _alone(model_path, folder, say or _silent):
            _fetched[known] = _snapshot(model_path, revision, folder, say or _silent)
    return _fetched[known]


_fetched: dict[tuple[str, str | None, str | None], str] = {}


def needed_files(files: Sequence[str]) -> list[str]:
    """Those of a repository's files that transformers, diffusers and vLLM read."""
    kept = [file for file in files if _is_of_use(PurePosixPath(file))]
    pipeline = "model_index.json" in files
    tensors = {str(PurePosixPath(file).parent) for file in kept if file.endswith(".safetensors")}
    return [file for file in kept if not _is_twice(PurePosixPath(file), kept, tensors, pipeline)]


def _is_of_use(file: PurePosixPath) -> bool:
    if file.name.startswith(".git") or file.suffix.lower() in _NEVER:
        return False
    return not _OTHER_RUNTIMES & {part.lower() for part in file.parts[:-1]}


def _is_twice(file: PurePosixPath, files: Sequence[str], tensors: set[str], pipeline: bool) -> bool:
    folder = str(file.parent)
    if file.suffix not in _WEIGHTS and not file.name.endswith(".index.json"):
        return False
    if pipeline and folder == ".":  # a pipeline's parts lie in folders; beside them, all in one
        return file.suffix in _WEIGHTS
    if folder in tensors and (
        file.suffix in _WEIGHTS - {".safetensors"} or ".bin.index" in file.name
    ):
        return True
    if file.name.startswith("consolidated") and any(
        PurePosixPath(other).name.startswith("model") for other in files
    ):
        return True
    return _VARIANT.search(file.name) is not None and _has_plain(file, files)


def _has_plain(file: PurePosixPath, files: Sequence[str]) -> bool:
    """Whether a variant's folder has weights that are no variant."""
    return any(
        PurePosixPath(other).parent == file.parent
        and PurePosixPath(other).suffix in _WEIGHTS
        and not _VARIANT.search(other)
        for other in files
    )


def _snapshot(model_path: str, revision: str | None, folder: str | None, say: Say) -> str:
    from huggingface_hub import snapshot_download

    files = _files_of(model_path, revision, folder)
    return snapshot_download(
        model_path,
        revision=revision,
        cache_dir=folder,
        allow_patterns=None if files is None else needed_files(files),
        tqdm_class=_telling_bar(model_path, say),
    )


def _files_of(model_path: str, revision: str | None, folder: str | None) -> list[str] | None:
    """The repository's files: from the Hub, or as they were when it was fetched; None: unknown."""
    from huggingface_hub import HfApi, get_cached_repo_tree
    from huggingface_hub.errors import (
        CachedRepoTreeNotFoundError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return HfApi().list_repo_files(model_path, revision=revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, _http_error()):
        try:
            tree = get_cached_repo_tree(model_path, revision=revision, cache_dir=folder)
        except CachedRepoTreeNotFoundError:
            return None
        return [file.path for file in tree]


def _http_error() -> type[Exception]:
    """That of whichever HTTP client this version of huggingface_hub uses."""
    errors: Any = import_module("huggingface_hub.errors")
    return errors.HTTPError


@contextmanager
def _told_plainly(model_path: str, revision: str | None) -> Generator[None]:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    token = "the token is sent" if _has_token() else "set HF_TOKEN, also in resources.env"
    try:
        yield
    except GatedRepoError:
        page = f"{constants.ENDPOINT}/{model_path}"
        message = f"{model_path} is gated: accept its terms at {page}; {token}"
        raise ModelMissingError(message) from None
    except RepositoryNotFoundError:
        message = f"{constants.ENDPOINT} shows no model '{model_path}': look at model_path"
        raise ModelMissingError(f"{message}; if it is private, {token}") from None
    except RevisionNotFoundError:
        message = f"{model_path} has no revision '{revision}'; config key 'revision'"
        raise ModelMissingError(message) from None
    except LocalEntryNotFoundError as error:
        if _refuses_token(error.__cause__):
            raise _token_refused(model_path) from None
        raise _not_here(model_path, error) from None
    except (HfHubHTTPError, _http_error()) as error:
        if _refuses_token(error):
            raise _token_refused(model_path) from None
        said = " ".join(str(error).split())[:300]
        raise HubUnreachableError(f"{model_path} could not be fetched: {said}") from None


def _refuses_token(error: BaseException | None) -> bool:
    """Whether the Hub, which asks for no token where a model is public, takes not the one sent."""
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError) and error.response.status_code == 401


def _token_refused(model_path: str) -> Exception:
    from huggingface_hub import constants

    where = "HF_TOKEN in the environment or resources.env, else what `hf auth login` wrote"
    return ModelMissingError(
        f"{constants.ENDPOINT} refuses the token that was sent for {model_path}, even for public"
        f" models, as it does with one that is wrong or has expired: {where}"
    )


def _not_here(model_path: str, error: Exception) -> Exception:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        message = f"{model_path} is not whole on this host, and HF_HUB_OFFLINE forbids to fetch it"
        return ModelMissingError(message)
    cause = " ".join(str(error.__cause__ or error).split())[:200]
    return HubUnreachableError(
        f"{model_path} is not on this host, and {constants.ENDPOINT} does not answer: {cause}"
    )


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


@contextmanager
def _alone(model_path: str, folder: str | None, say: Say) -> Generator[None]:
    """Held by one process of this host at a time; the others then find the model whole."""
    from filelock import FileLock, Timeout
    from huggingface_hub import constants

    cache = Path(folder or constants.HF_HUB_CACHE)
    lock = FileLock(cache / ".locks" / f"dataflow--{model_path.replace('/', '--')}.lock")
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"waiting: another step of this host fetches {model_path}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _telling_bar(model_path: str, say: Say) -> Any:
    """A progress bar that draws nothing and says how many bytes have come."""
    from tqdm import tqdm

    class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
        told_at = time.monotonic()

        def __init__(self, *args: Any, **options: Any) -> None:  # as huggingface_hub calls it
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            del msg, pos
            if self.unit != "B" or not self.n or time.monotonic() - Bar.told_at < TELL_EVERY_S:
                return
            Bar.told_at = time.monotonic()
            total = f" of {self.total / 1e9:.2f}" if self.total else ""
            say(f"fetching {model_path}: {self.n / 1e9:.2f}{total} GB")

    return Bar


def _silent(what: str) -> None:
    del what
