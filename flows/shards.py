"""How the work of a run is cut for several workers: feeds into shards by host, texts into slices. Pure.

All feeds of a host are in one shard, so a worker keeps the host's pace without knowing of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from flows.feeds.options import DEFAULTS, PollOptions
from flows.feeds.poll import Request
from flows.feeds.urls import host_key
from tocsin.types import FeedState

T = TypeVar("T")
Expect = Callable[[FeedState], float]

# Seconds that an exchange with a feed takes as a rule, and what a worker's processor has to do for it.
_USUAL_SECONDS = 0.5
_WORK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Shard:
    """Feeds that one task polls. Shards of one lane hold feeds of one host and follow each other."""

    lane: int
    requests: tuple[Request, ...]


def cut_shards(
    requests: Sequence[Request],
    *,
    size: int,
    options: PollOptions = DEFAULTS,
    expect: Expect | None = None,
) -> list[Shard]:
    """Cut feeds into shards of at most `size`, each host in one lane; equal input gives equal shards.

    Shards are to take about as long as each other: `expect` gives the seconds of a feed's exchange (None: as
    `expect_seconds`). A host of more feeds than `size` gets a lane of its own with several shards, in the
    order of its feeds. The shards come so that those of one lane are as far apart as can be.
    """
    seconds = expect or (lambda state: expect_seconds(state, options))
    hosts = [_Host.of(feeds, seconds, options) for feeds in _by_host(requests)]
    small = _pack([host for host in hosts if len(host.feeds) <= size], size)
    lanes = [[shard] for shard in small]
    lanes += [list(_slices(host.feeds, size)) for host in hosts if len(host.feeds) > size]
    place = {id(request): number for number, request in enumerate(requests)}
    cut = [
        (part, lane, sorted(feeds, key=lambda request: place[id(request)]))
        for lane, parts in enumerate(lanes)
        for part, feeds in enumerate(parts)
    ]
    cut.sort(key=lambda each: each[:2])
    return [Shard(lane, tuple(feeds)) for _, lane, feeds in cut]


def expect_seconds(state: FeedState, options: PollOptions = DEFAULTS) -> float:
    """Say how long a feed's exchange will take: what fails now and then makes us wait for its time limit."""
    return options.read_seconds if state.failures else _USUAL_SECONDS


def cut_texts(texts: Sequence[str], size: int) -> list[list[str]]:
    """Cut texts into slices of at most `size`, in their order."""
    return list(_slices(texts, size))


@dataclass(slots=True)
class _Host:
    """A host's feeds, the seconds that they keep a worker busy, and those that the host's own pace takes."""

    feeds: list[Request]
    work: float
    pace: float

    @classmethod
    def of(cls, feeds: list[Request], seconds: Expect, options: PollOptions) -> _Host:
        waiting = sum(seconds(state) for _, state in feeds)
        pace = max(waiting / options.per_host, (len(feeds) - 1) * options.host_gap_seconds)
        return cls(feeds, waiting / options.concurrency + len(feeds) * _WORK_SECONDS, pace)


@dataclass(slots=True)
class _Bin:
    """A shard in the making; it takes as long as its work, or as its slowest host."""

    feeds: list[Request] = field(default_factory=list)
    work: float = 0.0
    pace: float = 0.0

    def seconds_with(self, host: _Host) -> float:
        return max(self.work + host.work, self.pace, host.pace)

    def add(self, host: _Host) -> None:
        self.feeds += host.feeds
        self.work += host.work
        self.pace = max(self.pace, host.pace)


def _by_host(requests: Sequence[Request]) -> list[list[Request]]:
    """Group feeds by the host that is asked, as `flows.feeds.poll` does."""
    hosts: dict[str, list[Request]] = {}
    for request in requests:
        feed, state = request
        hosts.setdefault(host_key(state.moved_to or feed.url), []).append(request)
    return list(hosts.values())


def _pack(hosts: Sequence[_Host], size: int) -> list[list[Request]]:
    """Give each host to the shard that is done soonest with it, longest hosts first (Graham's LPT rule)."""
    count = sum(len(host.feeds) for host in hosts)
    bins = [_Bin() for _ in range(-(-count // size))]
    for host in sorted(hosts, key=lambda each: -max(each.work, each.pace)):
        roomy = [each for each in bins if len(each.feeds) + len(host.feeds) <= size]
        if not roomy:
            roomy = [_Bin()]
            bins += roomy
        min(roomy, key=lambda each: (each.seconds_with(host), each.work)).add(host)
    return [each.feeds for each in bins if each.feeds]


def _slices(items: Sequence[T], size: int) -> Iterator[list[T]]:
    return (list(items[at : at + size]) for at in range(0, len(items), size))
