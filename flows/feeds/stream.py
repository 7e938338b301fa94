"""Connections on asyncio alone: bytes to and from a server, within a time, with httpx's errors."""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

# The whole exchange has an end of its own; this keeps a server that never closes TLS from delaying it.
_CLOSE_SECONDS = 1.0


async def connect_by_number(address: str, port: int, *, seconds: float | None) -> PlainStream:
    """Connect to an IP address. Raises: httpx.ConnectError, httpx.ConnectTimeout."""
    async with _mapped(seconds, httpx.ConnectTimeout, httpx.ConnectError):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
    return PlainStream(sock, address)


@asynccontextmanager
async def _mapped(
    seconds: float | None, too_late: type[httpx.TimeoutException], failed: type[httpx.NetworkError]
) -> AsyncIterator[None]:
    """Raise httpx's errors for what asyncio and sockets raise."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:  # before OSError, which it is one of
        raise too_late(str(error)) from error
    except (OSError, EOFError) as error:
        raise failed(str(error)) from error


class Stream(ABC):
    """What plain and encrypted connections share: times and errors. `address` is the server's number."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def read(self, max_bytes: int, *, seconds: float | None) -> bytes:
        """Read what there is, at most so much; empty at the end. Raises: httpx.ReadTimeout, ReadError."""
        async with _mapped(seconds, httpx.ReadTimeout, httpx.ReadError):
            return await self._receive(max_bytes)

    async def write(self, data: bytes, *, seconds: float | None) -> None:
        """Write it all. Raises: httpx.WriteTimeout, httpx.WriteError."""
        async with _mapped(seconds, httpx.WriteTimeout, httpx.WriteError):
            await self._send(data)

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of the connection."""

    @abstractmethod
    def has_news(self) -> bool:
        """Tell whether there is something to read; on an idle connection that is its end."""

    @abstractmethod
    async def _receive(self, max_bytes: int) -> bytes: ...

    @abstractmethod
    async def _send(self, data: bytes) -> None: ...


class PlainStream(Stream):
    """A connected socket."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        super().__init__(address)
        self._sock = sock

    async def _receive(self, max_bytes: int) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._sock, max_bytes)

    async def _send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def aclose(self) -> None:
        self._sock.close()

    def has_news(self) -> bool:
        try:
            self._sock.recv(1, socket.MSG_PEEK)  # never waits: the socket is not a blocking one
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    async def encrypt(self, context: ssl.SSLContext, host: str, *, seconds: float | None) -> Stream:
        """Encrypt the connection, which now belongs to what is returned. Raises: as connecting does."""
        try:
            async with _mapped(seconds, httpx.ConnectTimeout, httpx.ConnectError):
                reader, writer = await asyncio.open_connection(
                    sock=self._sock, ssl=context, server_hostname=host
                )
        except BaseException:
            self._sock.close()
            raise
        return _EncryptedStream(reader, writer, self.address)


class _EncryptedStream(Stream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        super().__init__(address)
        self._reader = reader
        self._writer = writer

    async def _receive(self, max_bytes: int) -> bytes:
        return await self._reader.read(max_bytes)

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def aclose(self) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer.wait_closed()

    def has_news(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()
