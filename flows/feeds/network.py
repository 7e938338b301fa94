"""Connections that end only where they may: the address connected to is the address checked.

The host name is resolved here, once; what passes the check is connected to by number, so neither a
redirect nor DNS that changes its mind can lead into a private network.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

from flows.feeds.options import Network
from flows.feeds.stream import PlainStream, Stream, connect_by_number
from tocsin.errors import FeedError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Trust = Callable[[], ssl.SSLContext]

_NAT64 = IPv6Network("64:ff9b::/96")
_IPV6_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Beyond what `is_global` knows in every Python we run on.
_NEVER: tuple[Network, ...] = (
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT, and a cloud's metadata at .100.200
    IPv4Network("168.63.129.16/32"),  # a cloud's host agent on a public number
    IPv4Network("192.0.0.0/24"),  # protocol assignments, and a cloud's metadata at .192
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv6Network("2001::/23"),  # Teredo and other protocol assignments
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address in disguise
    IPv6Network("3fff::/20"),
)
_MAX_ATTEMPTS = 4


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address:
    """Read an address, IPv4 or IPv6, in numbers. Raises: ValueError."""
    return ip_address(text)


def is_allowed(address: Address, allow_networks: Sequence[Network] = ()) -> bool:
    """Tell whether we may connect: a public unicast address, or one in an opened network.

    IPv4-mapped and NAT64 forms are judged by the IPv4 address inside.
    """
    inner = _unwrap(address)
    if any(candidate in network for network in allow_networks for candidate in (address, inner)):
        return True
    if any(inner in network for network in _NEVER) or inner.is_multicast:
        return False
    return inner.is_global and (inner.version == 4 or inner in _IPV6_GLOBAL_UNICAST)


def _unwrap(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver; numbers in the order in which they should be tried. A number is itself.

    Raises:
        FeedError: `dns_unknown` if the name does not exist, `dns_failed` if nobody could say.
    """
    with suppress(ValueError):
        return [str(parse_address(host))]
    try:
        # Not asyncio's threads: it waits for them when it ends, and a resolver may take a minute.
        import anyio.to_thread  # noqa: PLC0415  it is slow to load, and numbers need no resolver

        found = await anyio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), abandon_on_cancel=True
        )
    except socket.gaierror as error:
        is_unknown = error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)}
        reason = "dns_unknown" if is_unknown else "dns_failed"
        raise FeedError(reason, f"Host name {host} cannot be resolved: {error.strerror}") from error
    except (UnicodeError, OverflowError) as error:
        raise FeedError("bad_url", f"Host name {host[:80]!r} or port {port} is not possible") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Dialer:
    """Resolves, checks and connects by number; TLS and the Host header keep the name.

    `trust` gives the trusted authorities; it is called when the first server is asked by https.
    """

    def __init__(
        self, allow_networks: Sequence[Network], trust: Trust, resolve: Resolve = resolve_host
    ) -> None:
        self._allow_networks = tuple(allow_networks)
        self._trust = trust
        self._resolve = resolve

    async def dial(self, url: httpx.URL, *, seconds: float | None) -> Stream:
        """Connect to a URL's server. Raises: FeedError, httpx.ConnectError, httpx.ConnectTimeout."""
        host = url.raw_host.decode("ascii")
        is_secret = url.scheme == "https"
        plain = await self._connect(host, url.port or (443 if is_secret else 80), seconds)
        return await plain.encrypt(self._trust(), host, seconds=seconds) if is_secret else plain

    async def _connect(self, host: str, port: int, seconds: float | None) -> PlainStream:
        addresses = (await self._checked_addresses(host, port))[:_MAX_ATTEMPTS]
        share = seconds / len(addresses) if seconds and addresses else None
        for number, address in enumerate(addresses, start=1):
            try:
                return await connect_by_number(address, port, seconds=share)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpx.ConnectError(f"{host} has no address")

    async def _checked_addresses(self, host: str, port: int) -> list[str]:
        found = await self._resolve(host, port)
        allowed = [text for text in found if is_allowed(parse_address(text), self._allow_networks)]
        if found and not allowed:
            raise FeedError(
                "forbidden_address",
                f"Host {host} leads to {found[0]}, which is not a public address; "
                "TOCSIN_ALLOW_NETWORKS can open its network",
            )
        return allowed
