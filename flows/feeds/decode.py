"""Content encodings, undone piece by piece with a bound on what comes out.

A gzip bomb yields a thousand bytes for each one received, so no step asks for more than is left.
"""

from __future__ import annotations

import zlib

from tocsin.errors import FeedError

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_BITS = zlib.MAX_WBITS | 16
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}

# What we can undo, best first, as a request's Accept-Encoding says it.
ACCEPT_ENCODING = "gzip, deflate"


class BodyDecoder:
    """Collects a body as it arrives; `finish` gives the whole.

    Raises:
        FeedError: `bad_encoding` for an encoding we cannot undo, corrupt data or data that end
            early; `too_big` as soon as more than `limit` bytes have come out.
    """

    def __init__(self, content_encoding: str, *, limit: int) -> None:
        names = [name.strip().lower() for name in content_encoding.split(",")]
        self._layers = [_layer(name) for name in reversed(names) if name not in {"", "identity"}]
        self._limit = limit
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next piece as it came over the wire."""
        for layer in self._layers:
            data = layer.feed(data, self._limit + 1)
        self._body += data
        if len(self._body) > self._limit:
            raise too_big(self._limit)

    def finish(self) -> bytes:
        """Give the decompressed body, or raise if its end is missing."""
        for layer in self._layers:
            layer.finish()
        return bytes(self._body)


def too_big(limit: int) -> FeedError:
    """The refusal of a body that exceeds `limit` bytes."""
    return FeedError(
        "too_big", f"Feed too big: its body exceeds {limit / 1024 / 1024:.3g} MiB; nothing was read"
    )


class _Inflate:
    """One layer of gzip (also in several members) or deflate (with or without zlib header)."""

    def __init__(self, name: str) -> None:
        self._is_gzip = name == "gzip"
        self._inflate = zlib.decompressobj(_GZIP_BITS if self._is_gzip else zlib.MAX_WBITS)
        self._knows_header = self._is_gzip
        self._pending = b""
        self._is_empty = True

    def feed(self, data: bytes, room: int) -> bytes:
        """Inflate, but not much beyond `room` bytes: the caller gives up then."""
        self._is_empty = self._is_empty and not data
        self._pending += data
        out = b""
        while self._pending and len(out) < room and self._has_more():
            out += self._advance(room - len(out))
        return out

    def finish(self) -> None:
        # Servers send an empty body with an encoding named; that is empty, not broken.
        if not self._is_empty and not self._inflate.eof:
            raise FeedError("bad_encoding", "Compressed body cut: the data end before their end mark")

    def _has_more(self) -> bool:
        """Choose the kind of deflate once two bytes are there, and start the next gzip member."""
        if not self._knows_header:
            if len(self._pending) < 2:
                return False
            self._knows_header = True
            if not _has_zlib_header(self._pending):
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        if self._inflate.eof:
            if not (self._is_gzip and self._pending.startswith(GZIP_MAGIC)):
                return False  # padding after the end is common and harmless
            self._inflate = zlib.decompressobj(_GZIP_BITS)
        return True

    def _advance(self, room: int) -> bytes:
        try:
            out = self._inflate.decompress(self._pending, room)
        except zlib.error as error:
            raise FeedError("bad_encoding", f"Compressed body corrupt: {error}") from error
        self._pending = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        return out


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


def _layer(name: str) -> _Inflate:
    if name not in _NAMES:
        raise FeedError(
            "bad_encoding", f"Content encoding {name[:40]!r} was not asked for and cannot be undone"
        )
    return _Inflate(_NAMES[name])
