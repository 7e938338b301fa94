"""How many texts are embedded at the same time: what is tried, and which pace is chosen. Looks at no clock.

It is tried on the texts that are to be embedded, so a trial costs no more than the time it is slower. No
vector depends on the pace: see `models.encode`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

LEAST = 1_000  # texts that an encoder must have been given before anything is tried: it would not pay
ROUNDS = 2  # of each pace, since one alone may fall into a neighbour's busy moment
TRIAL = 0.08  # seconds after which a trial begins no further text
BOUND = 2.0  # seconds of trials after which no further one is started
GAIN = 1.05  # so many times as quick in its slowest round as the present pace in its quickest
BATCHES = (8, 32)
_FEWEST = 4  # threads below which fewer are not tried, and texts for each thread below which nothing is
_HALVINGS = 2
_GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, fill the interval evenly


@dataclass(frozen=True, slots=True)
class Pace:
    """`threads` work at the same time, each on `batch` texts that run together."""

    threads: int
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """What one pace did: characters a second."""

    pace: Pace
    rate: float


def usable_cores() -> int:
    """Count the cores that this process may use; a container's quota does not show in it."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def list_paces(present: Pace, *, threads: bool, batches: bool) -> list[Pace]:
    """List what is worth trying beside the present pace, which is the first.

    `threads`: fewer of them are, where they are many: they are quicker where a container's quota shares the
    processor, or cores are halves of one. `batches`: larger ones are, with all threads, and with few of them
    as a device of its own wants it.
    """
    fewer = [present]
    while threads and fewer[-1].threads >= _FEWEST and len(fewer) <= _HALVINGS:
        fewer.append(replace(present, threads=fewer[-1].threads // 2))
    sizes = [size for size in BATCHES if batches and size > present.batch]
    larger = [replace(pace, batch=size) for size in sizes for pace in (present, fewer[-1])]
    return list(dict.fromkeys([*fewer, *larger]))


def is_enough(texts: int, pace: Pace) -> bool:
    """Tell whether so many texts are enough to try a pace on."""
    return texts >= pace.threads * max(_FEWEST, pace.batch)


def spread_batches(rows: Sequence[int], batch: int) -> list[Sequence[int]]:
    """Cut rows into batches of neighbours, ordered so that the first few are from all along the rows."""
    batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
    return [batches[i] for i in sorted(range(len(batches)), key=lambda i: i * _GOLDEN % 1)]


class Search:
    """Trials of paces, each once a round, there and back; the first of them is the present one."""

    def __init__(self, paces: Sequence[Pace]) -> None:
        rounds = [paces if number % 2 == 0 else paces[::-1] for number in range(ROUNDS)]
        self.trials: list[Trial] = []
        self._present = paces[0]
        self._left = deque(pace for each in rounds for pace in each) if len(paces) > 1 else deque()
        self._spent = 0.0

    def next(self) -> Pace | None:
        """Give the pace to try next; None at the end, or when `BOUND` is spent."""
        return self._left[0] if self._left and self._spent <= BOUND else None

    def note(self, characters: int, seconds: float) -> None:
        """Note what the next pace did."""
        self.trials.append(Trial(self._left.popleft(), characters / max(seconds, 1e-9)))
        self._spent += seconds

    def best(self) -> Pace:
        """Choose among what was tried so far."""
        return choose_pace(self.trials, self._present)


def choose_pace(trials: Sequence[Trial], present: Pace) -> Pace:
    """Choose the quickest pace that was clearly quicker than the present one in all rounds, else that one."""
    rates: dict[Pace, list[float]] = {}
    for trial in trials:
        rates.setdefault(trial.pace, []).append(trial.rate)
    whole = {pace: min(found) for pace, found in rates.items() if len(found) == ROUNDS}
    if present not in whole:
        return present
    best = max(whole, key=lambda pace: whole[pace])
    return best if whole[best] >= GAIN * max(rates[present]) else present
