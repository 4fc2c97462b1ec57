"""Who holds which of a machine's devices, and who waits: a locked file in one folder for each.

A claim's file is locked as long as any process has it open, so that a claim ends with those who
made it, however they end. Claims are looked at and changed by one process at a time, behind a door.
"""

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from dataflow_dagster.resources.letting_go import Closings
from dataflow_dagster.rows import decode, encode

FOLDER_VARIABLE: Final = "DATAFLOW_GPU_LOCKS"
"""Folder of the claims; unset: one for all of the machine, whatever ``TMPDIR`` says."""

TELL_AGAIN_S: Final = 600.0
TELL_CHANGES_S: Final = 10.0
"""So long after a line why a step waits comes the next, if another holds what it waits for."""

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_DOOR: Final = "door"


def claims_folder() -> Path:
    """Where the claims of this machine are.

    Of the folders that every user may write in, ``/run/lock`` comes first: none cleans it.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    open_to_all = filter(_is_open_to_all, (Path("/run/lock"), Path("/tmp")))
    return next(open_to_all, Path(tempfile.gettempdir())) / "dataflow_dagster_gpus"


def _is_open_to_all(folder: Path) -> bool:
    try:
        return stat.S_IMODE(folder.stat().st_mode) == 0o1777
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Claim:
    """One step's.

    Attributes:
        number: Its place in the line; a later one has a higher number.
        of: Devices any of which will do.
        held: Those it has; empty: it waits.
        who: Names it to others.
    """

    number: int
    of: Sequence[str]
    held: Sequence[str] = field(default=())
    who: str = ""


class Claims:
    """All claims of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # another user's: it is open to all already
            folder.chmod(0o1777)

    @contextmanager
    def held(
        self, wanted: int, of: Sequence[str], who: str, say: Callable[[str], None]
    ) -> Generator[tuple[Sequence[str], int]]:
        """Hold `wanted` of the devices, once all claims on any of them that came before do.

        Yields:
            The devices, and an open file: they are held as long as any process has it open.
        """
        with ExitStack() as files, self._kept():
            claim, file = self._enter(of, who, files)
            reasons = _Reasons(say)
            with Closings(self._folder) as closings:
                while not (held := self._taken(claim, file, wanted)):
                    reasons.tell(self._why(claim, wanted))
                    closings.wait()
            self._wake(claim)
            if reasons.told:
                say(f"got GPU {', '.join(held)}")
            yield held, file

    @contextmanager
    def _kept(self) -> Generator[None]:
        """Keep systemd-tmpfiles away, which leaves folders alone that somebody has locked.

        https://www.freedesktop.org/software/systemd/man/latest/tmpfiles.d.html#Age
        """
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_SH)
            yield
        finally:
            os.close(folder)

    def _enter(self, of: Sequence[str], who: str, files: ExitStack) -> tuple[Claim, int]:
        """A new claim at the line's end, and its open file."""
        with self._behind_the_door():
            claim = Claim(max(map(_number, self._paths()), default=0) + 1, of, who=who)
            file = _made(self._path(claim.number), os.O_RDWR)
            files.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
            _write(file, claim)
            return claim, file

    def _taken(self, claim: Claim, file: int, wanted: int) -> Sequence[str]:
        """The devices, if it is the claim's turn and enough are free; else none."""
        with self._behind_the_door():
            others = self._others(claim)
            held = {device for other in others for device in other.held}
            free = [device for device in claim.of if device not in held]
            first = not any(_is_before(other, claim) for other in others)
            if not first or len(free) < wanted:
                return []
            _write(file, replace(claim, held=free[:wanted]))
            return free[:wanted]

    def _wake(self, claim: Claim) -> None:
        """Let those behind it look whether it is their turn."""
        with suppress(FileNotFoundError):  # somebody has cleaned up
            os.close(os.open(self._path(claim.number), os.O_WRONLY | os.O_CLOEXEC))

    def _why(self, claim: Claim, wanted: int) -> str:
        with self._behind_the_door():
            others = self._others(claim)
        holders = {device: other.who for other in others for device in other.held}
        told = "; ".join(f"{one}: {holders[one]}" for one in claim.of if one in holders)
        asked = f"waiting for {wanted} of {len(claim.of)} GPUs"
        return f"{asked}; {told}" if told else f"{asked}; others wait before it"

    def _others(self, claim: Claim) -> list[Claim]:
        """All other claims that live; what is left of dead ones is removed."""
        paths = [path for path in self._paths() if _number(path) != claim.number]
        return [other for path in paths if (other := _living(path)) is not None]

    @contextmanager
    def _behind_the_door(self) -> Generator[None]:
        """Alone with the claims. Read alone, for the closing of what was written wakes sleepers."""
        while True:
            door = self._open_door()
            try:
                fcntl.flock(door, fcntl.LOCK_EX)
                if self._is_the_door(door):
                    yield
                    return
            finally:
                os.close(door)

    def _open_door(self) -> int:
        """With O_CREAT the kernel refuses another user's file (fs.protected_regular)."""
        path = self._folder / _DOOR
        while True:
            with suppress(FileNotFoundError):
                return os.open(path, _READ)
            with suppress(FileExistsError):
                os.close(_made(path, os.O_RDONLY))

    def _is_the_door(self, door: int) -> bool:
        """Whether it is there still, and no other: somebody may have cleaned up."""
        try:
            return os.path.samestat(os.fstat(door), (self._folder / _DOOR).stat())
        except FileNotFoundError:
            return False

    def _path(self, number: int) -> Path:
        return self._folder / f"claim-{number:08}"

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("claim-*"))


class _Reasons:
    """Says why a step waits: at once, when that changes, and now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.told = ""
        self._told_at = 0.0

    def tell(self, why: str) -> None:
        """Say it if it is new, but not of every holder in a quick succession."""
        since = time.monotonic() - self._told_at
        due = since > (TELL_AGAIN_S if why == self.told else TELL_CHANGES_S)
        if due or not self.told:
            self._say(why)
            self.told, self._told_at = why, time.monotonic()


def _made(path: Path, flags: int) -> int:
    """A new file that other users may read, whatever the umask says."""
    file = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    os.fchmod(file, 0o644)
    return file


def _number(path: Path) -> int:
    return int(path.name.removeprefix("claim-"))


def _is_before(other: Claim, claim: Claim) -> bool:
    """Whether another waits for devices of the claim's, and came first."""
    waits = not other.held and other.number < claim.number
    return waits and not set(other.of).isdisjoint(claim.of)


def _living(path: Path) -> Claim | None:
    try:
        file = os.open(path, _READ)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Claim(**decode(os.pread(file, 1 << 20, 0)))
    else:
        with suppress(PermissionError):  # another user's
            path.unlink(missing_ok=True)
        return None
    finally:
        os.close(file)


def _write(file: int, claim: Claim) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, encode(asdict(claim)), 0)
