"""What a poll may take of time, size and company; every bound has its default here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PollOptions:
    """The bounds of a poll.

    `max_received_bytes` counts what came over the wire, `max_body_bytes` what it decompressed to.
    `allow_networks` are the private networks that a person opened. `host_gap_seconds` is the least
    time between the starts of two feeds of one host, but for this machine's own. The first
    `inline_parse_bytes` that the fast path does not take are parsed without worker processes, which
    cost more to start than they save; not so a body over `inline_body_bytes`, as only a process can
    be stopped after `parse_seconds`.
    """

    user_agent: str = "Tocsin/0.1 (+feed reader)"
    allow_networks: tuple[Network, ...] = ()
    total_seconds: float = 30.0
    connect_seconds: float = 10.0
    read_seconds: float = 15.0
    max_received_bytes: int = 10 * MIB
    max_body_bytes: int = 8 * MIB
    max_redirects: int = 10
    concurrency: int = 20
    per_host: int = 2
    host_gap_seconds: float = 0.25
    full_fetch_every: timedelta = timedelta(days=7)
    parse_workers: int = 2
    parse_seconds: float = 20.0
    inline_parse_bytes: int = MIB
    inline_body_bytes: int = MIB // 4


DEFAULTS = PollOptions()
