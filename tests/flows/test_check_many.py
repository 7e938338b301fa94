"""Followed feeds examined together: the worst first, as many as was asked for, one at a time a host."""

import threading
from datetime import UTC, datetime

import pytest

from flows.check_many import PAUSE, check_followed
from flows.newsroom import Newsroom
from storage.database import Database
from storage.feeds import save_states
from storage.folder import history_path
from storage.following import follow_feeds
from tocsin.errors import StorageError
from tocsin.settings import Settings
from tocsin.types import Feed, FeedState

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def follow(tmp_path):
    """Return a function that follows feeds and records states of some; give the settings."""

    def keep(urls, *states):
        settings = Settings(data=tmp_path, allow_networks="127.0.0.0/8")
        with Database(history_path(tmp_path)).write() as con:
            follow_feeds(con, [Feed(url) for url in urls], NOW)
            save_states(con, states)
        return settings

    return keep


def failing(url, failures):
    return FeedState(url, failures=failures, failing_since=NOW, polled_at=NOW)


def test_the_worst_come_first_and_only_so_many_are_examined(follow):
    urls = [f"https://h{number}.example/feed" for number in range(4)]
    well = FeedState(urls[3], polled_at=NOW, succeeded_at=NOW)
    settings = follow(urls, failing(urls[1], 2), failing(urls[2], 7), well)
    asked = []

    def examine(feed, now):
        asked.append(feed.url)

    rows = check_followed(settings, which="ailing", at_most=2, now=NOW, examine=examine)
    assert [each.health.url for each in rows] == [urls[2], urls[1], urls[0], urls[3]]
    assert sorted(asked) == [urls[1], urls[2]]
    assert [each.to_row()["now"] for each in rows[2:]] == ["not examined"] * 2


def test_one_host_is_asked_one_request_at_a_time_with_a_pause_between_two(follow):
    pauses = []
    settings = follow([f"https://one.example/{number}" for number in range(6)])
    busy = threading.Lock()

    def examine(feed, now):
        assert busy.acquire(blocking=False), "two at once"
        threading.Event().wait(0.01)
        busy.release()

    ask = {"which": "all", "at_most": 9, "now": NOW}
    assert len(check_followed(settings, **ask, examine=examine, wait=pauses.append)) == 6
    assert pauses == [PAUSE.total_seconds()] * 5


def test_each_is_fetched_and_its_trouble_named_without_a_password(follow):
    with Newsroom(anchor=NOW, port=0) as newsroom:
        good = newsroom.feeds[0].url
        absent = good.replace("127.0.0.1", "me:secret@127.0.0.1").rsplit("/", 1)[0] + "/nothing.xml"
        settings = follow([good, absent])
        rows = {
            row["url"]: row
            for row in (each.to_row() for each in check_followed(settings, which="all", at_most=9, now=NOW))
        }
    assert "404" in next(row["now"] for url, row in rows.items() if url.endswith("nothing.xml"))
    assert "cannot" not in rows[good]["now"]
    assert "secret" not in str(rows)


def test_without_a_history_it_says_so(tmp_path):
    with pytest.raises(StorageError, match="there is no history yet"):
        check_followed(Settings(data=tmp_path), which="all", at_most=9, now=NOW)
