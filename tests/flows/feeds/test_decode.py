"""Decompression in pieces: the same bytes whatever the pieces, and never more than allowed."""

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.decode import BodyDecoder
from tocsin.errors import FeedError

PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": lambda data: zlib.compress(data, wbits=-15),
    "identity": bytes,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
    "x-gzip": lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]) + bytes(3),
}


def decode(encoding, data, *, size=1, limit=10_000):
    decoder = BodyDecoder(encoding, limit=limit)
    for start in range(0, len(data), size):
        decoder.feed(data[start : start + size])
    return decoder.finish()


@given(st.sampled_from(sorted(PACKERS)), st.binary(max_size=2000), st.integers(1, 300))
def test_what_was_packed_comes_out_whatever_the_pieces(encoding, data, size):
    assert decode(encoding, PACKERS[encoding](data), size=size) == data


@given(st.sampled_from(["gzip", "deflate"]), st.binary(min_size=1, max_size=500), st.data())
def test_a_cut_anywhere_is_found(encoding, data, draw):
    packed = PACKERS[encoding](data)
    end = draw.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(FeedError) as caught:
        decode(encoding, packed[:end], size=64)
    assert caught.value.reason == "bad_encoding"


@given(st.sampled_from(["gzip", "deflate", "identity", "deflate, gzip"]), st.integers(1, 64))
def test_more_than_the_limit_is_refused_and_the_limit_itself_is_not(encoding, size):
    exact, over = PACKERS[encoding](b"x" * 1000), PACKERS[encoding](b"x" * 1001)
    assert decode(encoding, exact, size=size, limit=1000) == b"x" * 1000
    with pytest.raises(FeedError) as caught:
        decode(encoding, over, size=size, limit=1000)
    assert caught.value.reason == "too_big"


@given(st.sampled_from(["gzip", "deflate", "gzip, gzip"]), st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_give_a_body_or_a_refusal(encoding, data, size):
    with contextlib.suppress(FeedError):
        assert len(decode(encoding, data, size=size)) <= 10_000


def test_an_empty_body_is_empty_in_every_encoding():
    assert decode("gzip", b"") == b""


def test_an_encoding_we_did_not_ask_for_is_named():
    with pytest.raises(FeedError, match="'br' was not asked for"):
        BodyDecoder("br", limit=10)


def test_a_bomb_takes_no_more_memory_than_its_limit_allows():
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(FeedError):
            decode("gzip", bomb, size=len(bomb), limit=100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
