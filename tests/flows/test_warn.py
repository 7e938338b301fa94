"""A feed that fails for days is told to the operator once, and again only after it worked in between."""

import io
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from rich.console import Console

from flows.alerts.compose import compose_message
from flows.alerts.console import ConsoleOutlet
from flows.feeds.options import PollOptions
from flows.pipeline import run_steps
from flows.run import MonitorOptions, MonitorRun
from flows.warn import compose_warnings
from storage.database import Database
from tocsin.types import Feed, FeedWarning

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PATH = "/world-desk/rss.xml"


@pytest.fixture
def newsroom():
    from flows.newsroom import Newsroom

    with Newsroom(anchor=NOW, port=0) as server:
        yield server


@pytest.fixture
def poll_on_day(newsroom, tmp_path):
    """Return a function that polls one feed on a day; give the number of new warnings, and the screen."""
    feed = next(feed for feed in newsroom.feeds if feed.url.endswith(PATH))
    db = Database(tmp_path / "tocsin.duckdb")

    def poll(day, *, works):
        rss = b"<rss version='2.0'><channel><title>T</title></channel></rss>"
        newsroom.publish(PATH, rss, content_type="application/rss+xml", status=200 if works else 404)
        screen = io.StringIO()
        options = MonitorOptions(
            feeds=(feed,),
            topics=None,
            channel="console",
            operator_channel="console",
            poll=PollOptions(allow_networks=(ip_network("127.0.0.1/32"),)),
            poll_all=True,
        )
        run = MonitorRun(
            db=db,
            options=options,
            outlet_for=lambda _: ConsoleOutlet(Console(file=screen, width=200)),
            clock=lambda: NOW + timedelta(days=day),
            run_id=f"day-{day}",
        )
        run_steps(run)
        return run.report.feed_warnings, screen.getvalue()

    return poll


def test_a_failing_feed_is_told_once_after_three_days_and_anew_after_a_recovery(poll_on_day):
    assert poll_on_day(0, works=True)[0] == 0
    assert [poll_on_day(day, works=False)[0] for day in (1, 2, 3, 5, 6)] == [0, 0, 0, 1, 0]
    assert poll_on_day(7, works=True)[0] == 0
    assert [poll_on_day(day, works=False)[0] for day in (8, 9, 12, 13)] == [0, 0, 1, 0]


def test_the_operator_reads_which_feed_it_is_and_since_when(poll_on_day):
    poll_on_day(0, works=True)
    screens = [poll_on_day(day, works=False)[1] for day in (1, 2, 5)]
    assert screens[:2] == ["", ""]
    assert "World Desk: latest: Feed fails since 2026-11-23" in screens[2]


def test_a_warning_is_a_message_like_any_other():
    warning = FeedWarning("feed-1", "https://a.example/feed", "gone", NOW, "Feed is gone")
    (alert,) = compose_warnings(
        [warning], {warning.feed_url: Feed(warning.feed_url)}, channel="#ops", now=NOW
    )
    assert (alert.channel, alert.title) == ("ops", "Feed is gone")
    message = compose_message(alert, now=NOW)
    assert "Feed is gone" in message.text
    assert message.metadata["event_payload"] == {"alert_id": "feed-1"}
