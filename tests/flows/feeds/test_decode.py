"""Decompression in pieces: the same bytes whatever the pieces, and never more than allowed."""

import contextlib
import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.decode import ACCEPT_ENCODING, BodyDecoder
from tocsin.errors import FeedError

PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": lambda data: zlib.compress(data, wbits=-15),
    "identity": bytes,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "zstd, br": lambda data: brotli.compress(zstandard.compress(data)),
    "ZSTD": lambda data: zstandard.compress(data[:7]) + zstandard.compress(data[7:]) + bytes(3),
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


@given(st.sampled_from(["gzip", "deflate", "br", "zstd"]), st.binary(min_size=1, max_size=500), st.data())
def test_a_cut_anywhere_is_found(encoding, data, draw):
    packed = PACKERS[encoding](data)
    end = draw.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(FeedError) as caught:
        decode(encoding, packed[:end], size=64)
    assert caught.value.reason == "bad_encoding"


@given(
    st.sampled_from(["gzip", "deflate", "identity", "deflate, gzip", "br", "zstd", "zstd, br"]),
    st.integers(1, 64),
)
def test_more_than_the_limit_is_refused_and_the_limit_itself_is_not(encoding, size):
    exact, over = PACKERS[encoding](b"x" * 1000), PACKERS[encoding](b"x" * 1001)
    assert decode(encoding, exact, size=size, limit=1000) == b"x" * 1000
    with pytest.raises(FeedError) as caught:
        decode(encoding, over, size=size, limit=1000)
    assert caught.value.reason == "too_big"


@given(
    st.sampled_from(["gzip", "deflate", "gzip, gzip", "br", "zstd"]),
    st.binary(max_size=300),
    st.integers(1, 50),
)
def test_any_bytes_give_a_body_or_a_refusal(encoding, data, size):
    with contextlib.suppress(FeedError):
        assert len(decode(encoding, data, size=size)) <= 10_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_empty_in_every_encoding(encoding):
    assert decode(encoding, b"") == b""


def test_an_encoding_we_did_not_ask_for_is_named():
    with pytest.raises(FeedError, match="'compress' was not asked for"):
        BodyDecoder("compress", limit=10)


def test_every_encoding_that_we_ask_for_can_be_undone():
    for name in ACCEPT_ENCODING.split(", "):
        assert decode(name, PACKERS[name](b"body")) == b"body"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
def test_data_that_are_no_such_encoding_are_refused(encoding):
    with pytest.raises(FeedError) as caught:
        decode(encoding, b"<rss version='2.0'>" * 20, size=100)
    assert caught.value.reason == "bad_encoding"


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = packed.compress(b"x" * 1000) + packed.flush()
    with pytest.raises(FeedError, match="corrupt"):
        decode("zstd", body, size=len(body))


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("br", lambda data: brotli.compress(data, quality=5)),
        ("zstd", zstandard.compress),
        ("br, br", lambda data: brotli.compress(brotli.compress(data, quality=5))),
        ("zstd, zstd", lambda data: zstandard.compress(zstandard.compress(data))),
    ],
)
def test_a_bomb_takes_no_more_memory_than_its_limit_allows(encoding, pack):
    bomb = pack(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(FeedError):
            decode(encoding, bomb, size=len(bomb), limit=100_000)
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
