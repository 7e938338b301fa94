"""Connections on asyncio alone: what is told of times, errors and ends."""

import asyncio
import socket

import httpx
import pytest

from flows.feeds.stream import connect_by_number


@pytest.fixture
def listener():
    """A listening socket that answers nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _connected(listener, use):
    """Connect to the listener and run `use` on the stream and the other end's socket."""

    async def run():
        stream = await connect_by_number("127.0.0.1", listener.getsockname()[1], seconds=5)
        other, _ = listener.accept()
        with other:
            try:
                return await use(stream, other)
            finally:
                await stream.aclose()

    return asyncio.run(run())


def test_what_is_written_arrives_and_what_is_sent_is_read(listener):
    async def use(stream, other):
        await stream.write(b"ping", seconds=5)
        received = other.recv(10)
        other.sendall(b"pong")
        return received, await stream.read(10, seconds=5)

    assert _connected(listener, use) == (b"ping", b"pong")


def test_a_closed_connection_reads_as_its_end(listener):
    async def use(stream, other):
        other.close()
        return await stream.read(10, seconds=5)

    assert _connected(listener, use) == b""


def test_silence_is_a_read_timeout(listener):
    async def use(stream, other):
        await stream.read(10, seconds=0.01)

    with pytest.raises(httpx.ReadTimeout):
        _connected(listener, use)


def test_a_full_buffer_is_a_write_timeout(listener):
    async def use(stream, other):
        await stream.write(b"x" * 50_000_000, seconds=0.05)

    with pytest.raises(httpx.WriteTimeout):
        _connected(listener, use)


def test_a_reset_connection_is_a_read_error(listener):
    async def use(stream, other):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        other.close()
        await stream.read(10, seconds=5)

    with pytest.raises(httpx.ReadError):
        _connected(listener, use)


def test_an_idle_connection_has_news_once_the_server_has_closed_it(listener):
    async def use(stream, other):
        before = stream.has_news()
        other.close()
        return before, stream.has_news()

    assert _connected(listener, use) == (False, True)


def test_nobody_listening_is_a_connect_error(listener):
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(httpx.ConnectError):
        asyncio.run(connect_by_number("127.0.0.1", port, seconds=5))


def test_ipv6_is_connected_to_too():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        stream = asyncio.run(connect_by_number("::1", server.getsockname()[1], seconds=5))
        asyncio.run(stream.aclose())
