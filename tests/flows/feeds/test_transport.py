"""Connections of a poll: kept for the host's next request, and every protocol error is one of httpx's."""

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from ipaddress import ip_network

import httpx
import pytest

from flows.feeds import transport
from flows.feeds.network import Dialer
from flows.feeds.transport import CheckedTransport


@pytest.fixture
def dialed():
    """How often a server was connected to."""
    return []


@pytest.fixture
def exchange(dialed):
    """Send requests over one transport, one after the other; give what `use` makes of the client."""

    async def resolve(host, port):
        dialed.append((host, port))
        return ["127.0.0.1"]

    def run(use, most_idle=4):
        async def session():
            dialer = Dialer((ip_network("127.0.0.0/8"),), ssl.create_default_context, resolve)
            async with httpx.AsyncClient(
                transport=CheckedTransport(dialer, most_idle=most_idle), trust_env=False, timeout=5
            ) as client:
                return await use(client)

        return asyncio.run(session())

    return run


async def _closed_unread(client, url):
    response = await client.send(client.build_request("GET", url), stream=True)
    await response.aclose()
    return response.status_code


def test_a_connection_is_kept_after_a_body_that_was_read(server, exchange, dialed):
    url = server.reply("/feed", b"body")

    async def use(client):
        return [(await client.get(url)).content for _ in range(3)]

    assert exchange(use) == [b"body"] * 3
    assert len(dialed) == 1


def test_a_304_that_nobody_reads_leaves_its_connection_for_the_next_request(server, exchange, dialed):
    url = server.reply("/feed", status=304)

    async def use(client):
        return [await _closed_unread(client, url) for _ in range(3)]

    assert exchange(use) == [304] * 3
    assert len(dialed) == 1


def test_a_connection_with_an_unread_body_is_not_used_again(server, exchange, dialed):
    url = server.reply("/feed", b"x" * 1_000_000)

    async def use(client):
        await _closed_unread(client, url)
        return (await client.get(url)).content

    assert exchange(use) == b"x" * 1_000_000
    assert len(dialed) == 2


def test_a_connection_that_the_server_has_closed_is_not_used_again(server, exchange, dialed):
    url = server.reply("/feed", b"body", connection="close")

    async def use(client):
        return [(await client.get(url)).status_code for _ in range(2)]

    assert exchange(use) == [200, 200]
    assert len(dialed) == 2


def test_a_connection_that_waited_too_long_is_not_used_again(server, exchange, dialed, monkeypatch):
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0.0)
    url = server.reply("/feed", b"body")

    async def use(client):
        return [(await client.get(url)).status_code for _ in range(2)]

    assert exchange(use) == [200, 200]
    assert len(dialed) == 2


@pytest.fixture
def closing_server():
    """Answer the first request of a connection and hang up on its second; give address and methods."""
    methods = []

    def serve():
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    for answer in (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody", b""):
                        if request := connection.recv(65_536):
                            methods.append(request.split()[0])
                            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://news.example:{listener.getsockname()[1]}/", methods
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_get_that_meets_a_closing_connection_is_asked_again_on_a_new_one(exchange, dialed, closing_server):
    url, methods = closing_server

    async def use(client):
        return [(await client.get(url)).content for _ in range(2)]

    assert exchange(use) == [b"body", b"body"]
    assert len(dialed) == 2
    assert methods == [b"GET"] * 3


def test_a_post_is_never_sent_on_a_connection_that_waited(server, exchange, dialed):
    url = server.reply("/feed", b"body")

    async def use(client):
        return (await client.get(url)).status_code, (await client.post(url, content=b"x")).status_code

    assert exchange(use) == (200, 501)  # this server knows no POST
    assert len(dialed) == 2


def test_only_so_many_connections_wait(server, exchange, dialed):
    server.reply("/feed", b"body")
    urls = [server.url("/feed", host=f"host{number}.example") for number in range(3)]

    async def use(client):
        for url in [*urls, urls[2], urls[0]]:
            await client.get(url)

    exchange(use, most_idle=2)
    assert [host for host, _ in dialed] == [
        "host0.example",
        "host1.example",
        "host2.example",
        "host0.example",
    ]


def test_a_body_that_is_posted_arrives_with_its_length(exchange):
    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(5)
        text = head + body
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
        await writer.drain()
        writer.close()

    async def use(client):
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            return (await client.post(f"http://hook.example:{port}/", content=b"hello")).content

    said = exchange(use)
    assert b"content-length: 5\r\n" in said.lower()
    assert said.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "another protocol", "no header", "101", "endless head", "cut body", "bad chunk"],
)
def test_what_is_not_http_is_a_protocol_error(server, exchange, answer):
    url = server.script("/feed", lambda connection: connection.send(answer))

    async def use(client):
        await client.get(url)

    with pytest.raises(httpx.RemoteProtocolError):
        exchange(use)


def test_informational_answers_are_passed_over(server, exchange):
    answer = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"
    url = server.script("/feed", lambda connection: connection.send(answer))

    async def use(client):
        return (await client.get(url)).content

    assert exchange(use) == b"body"


def test_a_header_that_http_forbids_is_a_protocol_error_of_ours(server, exchange):
    url = server.reply("/feed", b"body")

    async def use(client):
        await client.get(url, headers={"x-bad": "one\ntwo"})

    with pytest.raises(httpx.LocalProtocolError):
        exchange(use)
