"""How the work of a run is cut for several workers: feeds into shards by host, texts into slices. Pure.

All feeds of a host are in one shard, so a worker keeps the host's pace without knowing of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flows.feeds.options import DEFAULTS, PollOptions
from flows.feeds.poll import Request
from flows.feeds.urls import host_key
from tocsin.types import FeedState

T = TypeVar("T")

# Seconds that an exchange with a feed takes as a rule.
_USUAL_SECONDS = 0.5


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
    measured: Mapping[str, float] | None = None,
) -> list[Shard]:
    """Cut feeds into shards of at most `size`, each host in one lane; equal input gives equal shards.

    Hosts of like pace are together, the slowest first; `measured` gives seconds of feeds' last exchanges by
    URL, what is not in it is guessed. A host of more feeds than `size` gets a lane of its own with several
    shards, in the order of its feeds and as far apart as can be.
    """
    hosts = _by_host(requests)
    hosts.sort(key=lambda feeds: -_seconds_of_host(feeds, options, measured or {}))
    large = [feeds for feeds in hosts if len(feeds) > size]
    lanes = [list(_slices(feeds, size)) for feeds in large]
    place = {id(request): number for number, request in enumerate(requests)}
    small = _pack([feeds for feeds in hosts if len(feeds) <= size], size)
    lanes += [[sorted(feeds, key=lambda request: place[id(request)])] for feeds in small]
    return [Shard(lane, tuple(lanes[lane][part])) for lane, part in _spread(lanes, alone=len(large))]


def expect_seconds(state: FeedState, options: PollOptions, measured: Mapping[str, float]) -> float:
    """Say how long a feed's exchange will take: as its last one, or else its time limit where it fails."""
    return measured.get(state.url, options.read_seconds if state.failures else _USUAL_SECONDS)


def cut_texts(texts: Sequence[str], size: int) -> list[list[str]]:
    """Cut texts into slices of at most `size`, in their order."""
    return list(_slices(texts, size))


def _by_host(requests: Sequence[Request]) -> list[list[Request]]:
    """Group feeds by the host that is asked, as `flows.feeds.poll` does."""
    hosts: dict[str, list[Request]] = {}
    for request in requests:
        feed, state = request
        hosts.setdefault(host_key(state.moved_to or feed.url), []).append(request)
    return list(hosts.values())


def _seconds_of_host(feeds: Sequence[Request], options: PollOptions, measured: Mapping[str, float]) -> float:
    """Say how long a host's feeds take at its pace, however many workers there are."""
    waiting = sum(expect_seconds(state, options, measured) for _, state in feeds)
    return max(waiting / options.per_host, (len(feeds) - 1) * options.host_gap_seconds)


def _pack(hosts: Sequence[list[Request]], size: int) -> list[list[Request]]:
    """Fill one shard after the other, each host into the first that has room.

    A shard takes as long as its slowest host. To spread slow hosts would make every shard slow; together they
    wait at the same time.
    """
    shards: list[list[Request]] = []
    roomy: list[list[Request]] = []
    for feeds in hosts:
        shard = next((each for each in roomy if len(each) + len(feeds) <= size), None)
        if shard is None:
            shard = []
            shards.append(shard)
            roomy.append(shard)
        shard += feeds
        if len(shard) == size:
            roomy.remove(shard)
    return shards


def _spread(lanes: Sequence[Sequence[object]], *, alone: int) -> list[tuple[int, int]]:
    """Give (lane, part) of all shards in their order.

    Those of each of the first `alone` lanes are spread evenly over those of the others, one each.
    """
    others = max(len(lanes) - alone, 1)
    placed = [
        (part / len(parts) if lane < alone else (lane - alone) / others, lane, part)
        for lane, parts in enumerate(lanes)
        for part in range(len(parts))
    ]
    return [(lane, part) for _, lane, part in sorted(placed)]


def _slices(items: Sequence[T], size: int) -> Iterator[list[T]]:
    return (list(items[at : at + size]) for at in range(0, len(items), size))
