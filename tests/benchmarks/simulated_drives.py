"""A storage with tape drives in simulated time, and the users who order from it."""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class Manner:
    """How a storage behaves."""

    name: str
    drives: int = 3
    on_disk: float = 0.0
    """Share of the bytes of some sub-orders that need no tape."""
    others_per_hour: float = 0.0
    """Restores that other services ask for, unseen by the order service."""
    by_hour: bool = False
    """True: half as fast at noon as at midnight."""
    outage: tuple[float, float] | None = None
    """Seconds between which no drive works."""

    def speed(self, at: float) -> float:
        """Return bytes per second of a drive."""
        slower = 0.75 + 0.25 * math.cos(2 * math.pi * at / DAY) if self.by_hour else 1.0
        return 120e6 * slower

    def after_outage(self, begin: float, end: float) -> float:
        """Return when work ends that would last from ``begin`` to ``end`` without the outage."""
        if self.outage is None or end <= self.outage[0] or begin >= self.outage[1]:
            return end
        return end + self.outage[1] - max(begin, self.outage[0])


@dataclass
class Simulation:
    """Simulated time: calls functions when they are due."""

    now: float = 0.0
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: int = 0

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (self.now + seconds, self._number, call))

    def step(self) -> None:
        self.now, _, call = heapq.heappop(self._due)
        call()


class Storage:
    """Restores tapes one after another on its drives, for us and for others."""

    def __init__(self, manner: Manner, simulation: Simulation, chance: random.Random) -> None:
        self._manner = manner
        self._simulation = simulation
        self._chance = chance
        self._free = manner.drives
        self._queue: deque[tuple[float, Callable[[], None]]] = deque()
        if manner.others_per_hour:
            self._others()

    def restore(self, size: float, done: Callable[[], None]) -> None:
        """Restore a sub-order, whose files are on one to four tapes."""
        if self._chance.random() < 0.5:
            size *= 1 - self._manner.on_disk
        tapes = left = self._chance.randint(1, 4)

        def one_done() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done()

        for _ in range(tapes):
            self._enqueue(size / tapes, one_done)

    def _enqueue(self, size: float, done: Callable[[], None]) -> None:
        self._queue.append((size, done))
        self._start()

    def _start(self) -> None:
        while self._free and self._queue:
            size, done = self._queue.popleft()
            self._free -= 1
            begin = self._simulation.now
            took = self._chance.lognormvariate(math.log(150), 0.4) + size / self._manner.speed(
                begin
            )
            end = self._manner.after_outage(begin, begin + took)
            self._simulation.after(end - begin, lambda done=done: self._finish(done))  # type: ignore[misc]

    def _finish(self, done: Callable[[], None]) -> None:
        self._free += 1
        done()
        self._start()

    def _others(self) -> None:
        """Queue a restore of another service, sometimes many at once."""
        many = self._chance.choice((1, 1, 1, 6))
        for _ in range(many):
            self._enqueue(self._chance.uniform(5e9, 60e9), lambda: None)
        mean = many * HOUR / self._manner.others_per_hour
        self._simulation.after(self._chance.expovariate(1 / mean), self._others)


class User:
    """Orders batches of sub-orders, has two of them with storage at a time, and downloads each in time."""

    def __init__(
        self,
        simulation: Simulation,
        chance: random.Random,
        ask: Callable[[float, Callable[[], None]], None],
        *,
        batch: int,
        pause: float,
    ) -> None:
        self._simulation = simulation
        self._chance = chance
        self._ask = ask
        self._batch = batch
        self._pause = pause
        self._slots = 2
        self._waiting: deque[float] = deque()
        simulation.after(chance.uniform(0, pause), self._order)

    def _order(self) -> None:
        number = self._chance.randint(1, self._batch)
        self._waiting.extend(self._chance.uniform(5e9, 50e9) for _ in range(number))
        self._start()
        self._simulation.after(self._chance.expovariate(1 / self._pause), self._order)

    def _start(self) -> None:
        while self._slots and self._waiting:
            self._slots -= 1
            self._ask(self._waiting.popleft(), self._settled)

    def _settled(self) -> None:
        self._simulation.after(self._chance.expovariate(1 / 600), self._download)

    def _download(self) -> None:
        self._slots += 1
        self._start()
