"""Connections for httpcore on asyncio alone.

httpcore's own go through anyio, whose cancel scopes cost more than the rest of an exchange answered by 304.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpcore

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

# The whole exchange has an end of its own; this keeps a server that never closes TLS from delaying it.
_CLOSE_SECONDS = 1.0


async def connect_by_number(
    address: str,
    port: int,
    *,
    timeout: float | None,  # noqa: ASYNC109 - as httpcore hands it over
    local_address: str | None = None,
    socket_options: Iterable[SocketOption] | None = None,
) -> PlainStream:
    """Connect to an IP address. Raises: httpcore.ConnectError, httpcore.ConnectTimeout."""
    async with _mapped(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option in socket_options or ():
                sock.setsockopt(*option)
            if local_address is not None:
                sock.bind((local_address, 0))
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
    return PlainStream(sock)


@asynccontextmanager
async def _mapped(
    seconds: float | None, too_late: type[Exception], failed: type[Exception]
) -> AsyncIterator[None]:
    """Give httpcore its own errors for what asyncio and sockets raise."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:  # before OSError, which it is one of
        raise too_late(error) from error
    except (OSError, EOFError) as error:
        raise failed(error) from error


class _Stream(httpcore.AsyncNetworkStream):
    """What plain and encrypted connections share: times and errors."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        async with _mapped(timeout, httpcore.ReadTimeout, httpcore.ReadError):
            return await self._receive(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if buffer:
            async with _mapped(timeout, httpcore.WriteTimeout, httpcore.WriteError):
                await self._send(buffer)

    @abstractmethod
    async def _receive(self, max_bytes: int) -> bytes: ...

    @abstractmethod
    async def _send(self, buffer: bytes) -> None: ...


class PlainStream(_Stream):
    """A connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def _receive(self, max_bytes: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._sock, max_bytes)

    async def _send(self, buffer: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, buffer)

    async def aclose(self) -> None:
        self._sock.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Encrypt the connection, which now belongs to what is returned."""
        try:
            async with _mapped(timeout, httpcore.ConnectTimeout, httpcore.ConnectError):
                reader, writer = await asyncio.open_connection(
                    sock=self._sock, ssl=ssl_context, server_hostname=server_hostname or ""
                )
        except BaseException:
            self._sock.close()
            raise
        return _EncryptedStream(reader, writer)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that says something was closed by the server
            return _is_readable(self._sock)
        facts = {"socket": lambda: self._sock, "server_addr": self._sock.getpeername}
        return facts[info]() if info in facts else None


class _EncryptedStream(_Stream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def _receive(self, max_bytes: int) -> bytes:
        return await self._reader.read(max_bytes)

    async def _send(self, buffer: bytes) -> None:
        self._writer.write(buffer)
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer.wait_closed()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info("peername" if info == "server_addr" else info)


def _is_readable(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK)  # never waits: the socket is not a blocking one
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
