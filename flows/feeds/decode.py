"""Content encodings, undone piece by piece with a bound on what comes out.

A gzip bomb yields a thousand bytes for each one received, a brotli or zstd bomb far more, so no
step takes much more than is left.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import brotli
import zstandard

from tocsin.errors import FeedError

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_BITS = zlib.MAX_WBITS | 16
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# RFC 9659: what is sent with this encoding may not ask for a larger window.
_ZSTD_WINDOW = 8 * 1024 * 1024
# The library takes no bound on its output, and 4 bytes can stand for 128 KiB: 2 MiB a step at most.
_ZSTD_STEP = 64

# What we can undo, best first, as a request's Accept-Encoding says it.
ACCEPT_ENCODING = "gzip, deflate, br, zstd"


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


class _Layer(Protocol):
    """One content encoding on its way to being undone."""

    def feed(self, data: bytes, room: int) -> bytes:
        """Take a piece and give what comes of it, but not much beyond `room` bytes."""
        ...

    def finish(self) -> None:
        """Raise if the end of the data is missing."""
        ...


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
            raise _cut()

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
            raise _corrupt(error) from error
        self._pending = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        return out


class _Brotli:
    """One layer of brotli."""

    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()
        self._is_empty = True

    def feed(self, data: bytes, room: int) -> bytes:
        self._is_empty = self._is_empty and not data
        out = b""
        while len(out) < room and not self._decoder.is_finished():
            piece = self._advance(data, room - len(out))
            out += piece
            data = b""
            if not piece and self._decoder.can_accept_more_data():
                break
        return out

    def finish(self) -> None:
        if not self._is_empty and not self._decoder.is_finished():
            raise _cut()

    def _advance(self, data: bytes, room: int) -> bytes:
        try:
            return bytes(self._decoder.process(data, output_buffer_limit=room))
        except brotli.error as error:
            raise _corrupt(error) from error


class _Zstd:
    """One layer of zstd, also in several frames."""

    def __init__(self) -> None:
        self._decoder = _new_zstd()
        self._is_empty = True
        self._after = b""

    def feed(self, data: bytes, room: int) -> bytes:
        self._is_empty = self._is_empty and not data
        out = bytearray()
        for start in range(0, len(data), _ZSTD_STEP):
            out += self._step(data[start : start + _ZSTD_STEP])
            if len(out) >= room:
                break  # the caller gives up
        return bytes(out)

    def finish(self) -> None:
        if not self._is_empty and not self._decoder.eof:
            raise _cut()

    def _step(self, data: bytes) -> bytes:
        out = b""
        while data:
            if self._decoder.eof:
                self._after += data
                if not self._starts_frame():
                    break
                data, self._after, self._decoder = self._after, b"", _new_zstd()
            out += self._advance(data)
            data = self._decoder.unused_data if self._decoder.eof else b""
        return out

    def _starts_frame(self) -> bool:
        """Whether what follows a frame is another one; else it is padding, of which little is kept."""
        self._after = self._after[: _ZSTD_STEP + len(_ZSTD_MAGIC)]
        return self._after.startswith(_ZSTD_MAGIC)

    def _advance(self, data: bytes) -> bytes:
        try:
            return self._decoder.decompress(data)
        except zstandard.ZstdError as error:
            raise _corrupt(error) from error


def _new_zstd() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _cut() -> FeedError:
    return FeedError("bad_encoding", "Compressed body cut: the data end before their end mark")


def _corrupt(error: Exception) -> FeedError:
    return FeedError("bad_encoding", f"Compressed body corrupt: {str(error)[:120]}")


def _has_zlib_header(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


def _layer(name: str) -> _Layer:
    match name:
        case "gzip" | "x-gzip":
            return _Inflate("gzip")
        case "deflate":
            return _Inflate(name)
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
    raise FeedError("bad_encoding", f"Content encoding {name[:40]!r} was not asked for and cannot be undone")
