"""Several copies of one model behind the face of one session, each in a process of its own."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Final

from dataflow_dagster.engines.devices import Lease
from dataflow_dagster.engines.errors import (
    EngineDiedError,
    EngineMemoryError,
    EngineMissingError,
    EngineRefusedError,
    ModelMissingError,
    StalledError,
    UnfitSettingError,
)
from dataflow_dagster.engines.replicas.process import CLOSE_WITHIN_S, ReplicaProcess
from dataflow_dagster.engines.replicas.replica import Failed, Message, Noted, Opened, Opening
from dataflow_dagster.engines.session import Answered, Request, Session
from dataflow_dagster.rows import RowError

FINAL: Final = (
    EngineMemoryError,
    EngineMissingError,
    EngineRefusedError,
    ModelMissingError,
    UnfitSettingError,
    OSError,
)
"""Failures of a session that no other replica would be spared."""

MOST_DEATHS: Final = 3
"""So many deaths in one replica's place, none having answered between, end the step."""

MOST_CONDEMNED: Final = 4
"""So many rows found deadly in succession, no row answered between: the engine is at fault."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a session is to be multiplied.

    Attributes:
        count: Replicas.
        lease: All devices together, shared out evenly; without any each replica sees what the
            step sees. What it holds is held until nothing of any replica is left.
        stall_timeout_s: Longest silence of a replica that has all it needs, loading included;
            None: any.
        is_retry: The step was ended before, as hung perhaps: of a replica that hangs the rows are
            tried one at a time at once, also where it is the only one.
    """

    count: int = 1
    lease: Lease = field(default_factory=Lease)
    stall_timeout_s: float | None = None
    is_retry: bool = False

    @property
    def forgiven_deaths(self) -> int:
        """So many replicas may die with a row before it is suspected."""
        return 0 if self.is_retry else 1

    def variables(self, number: int) -> dict[str, str]:
        """The environment variables of one replica."""
        devices = self.lease.devices
        share = len(devices) // self.count
        own = devices[number * share : (number + 1) * share]
        return {"CUDA_VISIBLE_DEVICES": ",".join(own)} if devices else {}


class Replicas:
    """A session whose rows are answered by `plan.count` processes, begun as rows need them.

    A replica that dies is replaced, and the rows it had are computed again. Those that were with
    two dead replicas are tried one at a time; the one that kills then costs itself.

    Args:
        open_session: Opens one copy; is pickled.
        plan: How many, and where.
        say: Told of deaths.
    """

    def __init__(
        self, open_session: Callable[[], Session], plan: Plan, say: Callable[[str], None]
    ) -> None:
        self._opening = Opening(open_session)
        self._plan = plan
        self._say = say
        self._replicas: list[ReplicaProcess] = []
        self._next: deque[Request] = deque()
        self._suspects: deque[Request] = deque()
        self._died_with: Counter[int] = Counter()
        self._condemned = 0
        self._notes: dict[str, str] = {}

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`."""
        return self._notes

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`; each replica holds a few requests beyond its engine's own."""
        try:
            while True:
                handed_out = self._hand_out(requests)
                if not handed_out and not self._is_busy():
                    return
                yield from self._gather(wait_for_some=not handed_out)
        finally:
            if self._is_busy():
                self._end_all()
            self._forget()

    def close(self) -> None:
        """Close all sessions; what does not end in a minute is killed."""
        until = time.monotonic() + CLOSE_WITHIN_S
        for replica in self._replicas:
            replica.ask_to_close()
        while self._replicas:
            self._replicas.pop().close(until)

    def _hand_out(self, requests: Iterator[Request]) -> bool:
        """Send one request to the replica that has fewest; False where that cannot be."""
        if self._suspects:
            return self._hand_out_suspect()
        free = [replica for replica in self._replicas if replica.has_room]
        if not free and len(self._replicas) == self._plan.count:
            return False
        if not self._next:
            request = next(requests, None)
            if request is None:
                self._end_streams()
                return False
            self._next.append(request)
        replica = min(free, key=lambda one: len(one.waiting)) if free else self._begin()
        replica.send(self._next.popleft())
        return True

    def _hand_out_suspect(self) -> bool:
        """Send one suspect to a replica that has nothing else to do, once there is one."""
        self._end_streams()
        idle = next((replica for replica in self._replicas if not replica.waiting), None)
        if idle is None:
            return False
        idle.alone = True
        idle.send(self._suspects.popleft())
        idle.end_stream()
        return True

    def _gather(self, *, wait_for_some: bool) -> Iterator[Answered]:
        """What the replicas have said; with `wait_for_some` this waits for it."""
        said = {replica.connection: replica for replica in self._replicas}
        ready = wait(list(said), self._patience() if wait_for_some else 0)
        for connection, replica in said.items():
            if connection in ready:
                yield from self._hear(replica)
            elif self._stalled(replica):
                yield from self._end_stalled(replica)

    def _hear(self, replica: ReplicaProcess) -> Iterator[Answered]:
        messages, is_dead = replica.heard()
        for message in messages:
            if isinstance(message, Failed):
                yield from self._fail(replica, message.error)
                return
            yield from self._understand(replica, message)
        if is_dead:
            yield from self._replace(replica, replica.kill())

    def _understand(self, replica: ReplicaProcess, message: Message) -> Iterator[Answered]:
        if isinstance(message, Opened):
            self._say(f"replica {replica.number + 1} of {self._plan.count} is ready")
        elif isinstance(message, Noted):
            self._notes.update(message.notes)
        elif isinstance(message, tuple):
            number, _ = message
            del replica.waiting[number]
            replica.deaths = self._condemned = 0
            replica.alone = False
            yield message

    def _fail(self, replica: ReplicaProcess, error: Exception) -> Iterator[Answered]:
        """End the step for what another replica would not do better; else replace this one."""
        if not replica.is_open or isinstance(error, FINAL):
            raise error
        replica.kill()
        yield from self._replace(replica, f"failed: {type(error).__name__}: {error}")

    def _replace(self, replica: ReplicaProcess, how: str) -> Iterator[Answered]:
        """Begin a replica in the place of a dead one; settle what becomes of its rows."""
        deaths = replica.deaths + 1
        for number, request in replica.waiting.items():
            self._died_with[number] += replica.took(number)
            if replica.alone and replica.took(number):
                deaths, self._condemned = 0, self._condemned + 1
                yield number, _condemned(self._died_with[number], how)
            else:
                suspect = self._died_with[number] > self._plan.forgiven_deaths
                (self._suspects if suspect else self._next).append(request)
        told = f"replica {replica.number + 1} of {self._plan.count} {how}"
        if deaths >= MOST_DEATHS or self._condemned >= MOST_CONDEMNED:
            replica.waiting.clear()
            raise EngineDiedError(f"{told}; it and those before it answered no row")
        self._say(f"{told}; another takes its place, and its {len(replica.waiting)} rows")
        self._begin(replica.number, deaths)

    def _patience(self) -> float | None:
        """Seconds until some replica has been silent for too long."""
        timeout_s, busy = self._plan.stall_timeout_s, [r for r in self._replicas if r.lacks_nothing]
        if timeout_s is None or not busy:
            return None
        return max(0.0, min(one.quiet_since for one in busy) + timeout_s - time.monotonic())

    def _stalled(self, replica: ReplicaProcess) -> bool:
        timeout_s = self._plan.stall_timeout_s
        if timeout_s is None or not replica.lacks_nothing:
            return False
        return time.monotonic() - replica.quiet_since >= timeout_s

    def _end_stalled(self, replica: ReplicaProcess) -> Iterator[Answered]:
        """A hung replica is replaced like a dead one.

        The only one there is ends the step, if it has not been tried before or cannot even open.
        """
        how = (
            f"gave no answer for {self._plan.stall_timeout_s:g} s (stall_timeout_s), "
            f"{len(replica.waiting)} rows waiting"
        )
        replica.kill()
        if self._plan.count == 1 and not (self._plan.is_retry and replica.is_open):
            replica.waiting.clear()
            self._replicas.clear()
            raise StalledError(f"the engine {how}; it was killed with all that it had started")
        yield from self._replace(replica, how)

    def _begin(self, number: int | None = None, deaths: int = 0) -> ReplicaProcess:
        place = len(self._replicas) if number is None else number
        variables, held = self._plan.variables(place), self._plan.lease.files
        begun = ReplicaProcess(place, self._opening, variables, held, deaths)
        self._replicas[place : place + 1] = [begun]
        return begun

    def _end_streams(self) -> None:
        for replica in self._replicas:
            replica.end_stream()

    def _is_busy(self) -> bool:
        return any(replica.waiting for replica in self._replicas)

    def _end_all(self) -> None:
        """The answers are not wanted any more; replicas begin anew for the next shard."""
        while self._replicas:
            self._replicas.pop().kill()

    def _forget(self) -> None:
        """Rows are numbered anew in the next shard."""
        self._died_with.clear()
        self._next.clear()
        self._suspects.clear()


def _condemned(deaths: int, how: str) -> RowError:
    return RowError(
        "engine_died", f"{_times(deaths)} with this row, the last with no other; it {how}"
    )


def _times(deaths: int) -> str:
    return f"{deaths} replicas died" if deaths > 1 else "a replica died"
