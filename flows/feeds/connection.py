"""One HTTP/1.1 connection: requests over a stream, one after the other. h11 knows the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import h11
import httpx

from flows.feeds.stream import Stream

_READ_BYTES = 65_536
# What a head of an answer may take of memory.
_MAX_HEAD_BYTES = 100_000

Seconds = dict[str, float | None]
Event = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


class Connection:
    """A connection that stays open for the next request if both sides wish it.

    `seconds` of an exchange holds what connecting, reading and writing may take (httpx's `timeout`
    extension). Whatever goes wrong is one of httpx's errors, and the connection must be closed then.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)

    @property
    def address(self) -> str:
        """The server's number."""
        return self._stream.address

    async def exchange(self, request: httpx.Request) -> h11.Response:
        """Send a request and read the head of its answer; `body` gives the rest."""
        seconds: Seconds = request.extensions["timeout"]
        with suppress(httpx.WriteError):  # a server that refuses what it is sent may have said why
            await self._send(request, seconds.get("write"))
        while True:
            event = await self._receive(seconds.get("read"))
            if isinstance(event, h11.Response):
                return event

    async def body(self, seconds: float | None) -> AsyncIterator[bytes]:
        """Read the answer's body piece by piece, as it came over the wire but for chunks."""
        while True:
            event = await self._receive(seconds)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.PAUSED):
                return

    def renew(self) -> bool:
        """Make ready for another request; False if this connection cannot take one."""
        if self._state.their_state is h11.SEND_BODY:
            self._end_empty_body()
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    def is_stale(self) -> bool:
        """Tell whether the server has ended a connection that waits for a request."""
        return self._stream.has_news()

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._stream.aclose()

    def _end_empty_body(self) -> None:
        """Let the protocol see the end of an answer without body (304 above all), which nobody reads."""
        with suppress(httpx.RemoteProtocolError):
            self._next_event()

    async def _send(self, request: httpx.Request, seconds: float | None) -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101  as an async client makes it
        body = b"".join([part async for part in request.stream])
        try:
            head = h11.Request(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
            events = (head, h11.Data(data=body), h11.EndOfMessage())
            data = b"".join(self._state.send(event) or b"" for event in events)
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        await self._stream.write(data, seconds=seconds)

    async def _receive(self, seconds: float | None) -> Event:
        while True:
            event = self._next_event()
            if event is not h11.NEED_DATA:
                return event
            data = await self._stream.read(_READ_BYTES, seconds=seconds)
            if not data and self._state.their_state is h11.SEND_RESPONSE:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
            self._state.receive_data(data)

    def _next_event(self) -> Event:
        try:
            return self._state.next_event()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
