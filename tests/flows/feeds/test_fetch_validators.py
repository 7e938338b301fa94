"""Servers whose 304s cannot be believed: when old validators are tested, and what the test says."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from tocsin.types import FeedState, Fetched, Validators

BODY = b"<rss version='2.0'><channel><title>x</title></channel></rss>"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


OK_NEW = f'HTTP/1.1 200 OK\nETag: "new"\nConnection: close\nContent-Length: {len(BODY)}'


def lying(honest_etag):
    """A server whose body changes: it answers 304 to `"old"` unless it is honest."""

    def answer(connection):
        sent = connection.seen.headers.get("if-none-match")
        if sent and sent != honest_etag:
            connection.send(raw("HTTP/1.1 304 Not Modified\nConnection: close"))
        else:
            connection.send(raw(OK_NEW, BODY))

    return answer


def unchanged_for_a_week(url, now, **changes):
    """The state of a feed whose server said 304 from its last full fetch, a week ago, to an hour ago."""
    fields = {
        "validators": Validators(url, '"old"'),
        "body_hash": "another",
        "full_fetch_at": now - timedelta(days=7),
        "succeeded_at": now - timedelta(hours=1),
    }
    return FeedState(url, **{**fields, **changes})


@pytest.mark.parametrize(("honest_etag", "verdict"), [('"old"', True), (None, False)])
def test_old_validators_are_tested_when_a_full_fetch_differs_after_304s(
    server, fetch, now, honest_etag, verdict
):
    url = server.script("/feed", lying(honest_etag))
    outcome = fetch(url, unchanged_for_a_week(url, now))
    assert isinstance(outcome, Fetched)
    assert outcome.body == BODY
    assert outcome.exchange.honours_validators is verdict
    assert [seen.headers.get("if-none-match") for seen in server.requests] == [None, '"old"']


def test_a_test_without_answer_proves_nothing(server, fetch, now):
    def answer(connection):
        if "if-none-match" not in connection.seen.headers:
            lying(None)(connection)

    url = server.script("/feed", answer)
    outcome = fetch(url, unchanged_for_a_week(url, now))
    assert isinstance(outcome, Fetched)
    assert outcome.exchange.honours_validators is None


@pytest.mark.parametrize(
    "changes",
    [
        {"succeeded_at": NOW - timedelta(days=7)},  # no 304 since
        {"validators": None},
        {"body_hash": hashlib.sha256(BODY).hexdigest()},
        {"full_fetch_at": None, "succeeded_at": None},
        {"distrust_304_at": NOW - timedelta(days=29)},
    ],
    ids=["no 304 since", "no validators", "same body", "first fetch", "distrusted"],
)
def test_nothing_is_tested_without_cause(server, fetch, now, changes):
    url = server.script("/feed", lying(None))
    fetch(url, unchanged_for_a_week(url, now, **changes))
    assert len(server.requests) == 1


def test_a_server_that_lied_is_asked_unconditionally_and_tested_once_a_month(server, fetch, now):
    url = server.script("/feed", lying('"old"'))
    fresh = {"full_fetch_at": now - timedelta(hours=1)}
    fetch(url, unchanged_for_a_week(url, now, distrust_304_at=now - timedelta(days=1), **fresh))
    assert "if-none-match" not in server.requests[0].headers
    outcome = fetch(url, unchanged_for_a_week(url, now, distrust_304_at=now - timedelta(days=30), **fresh))
    assert outcome.exchange.honours_validators is True
    assert len(server.requests) == 3


def test_a_server_that_has_just_heeded_the_validators_is_not_asked_again(server, fetch, now):
    url = server.script("/feed", lying('"old"'))
    state = unchanged_for_a_week(url, now, full_fetch_at=now - timedelta(hours=2))
    outcome = fetch(url, state)
    assert isinstance(outcome, Fetched)
    assert [seen.headers.get("if-none-match") for seen in server.requests] == ['"old"']
