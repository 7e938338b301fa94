"""Which feeds a run polls: those given, else those followed, else of the settings, else the newsroom."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.assemble import Request, check_request, open_run
from flows.newsroom import Newsroom
from flows.pipeline import run_steps
from storage.database import Database
from storage.folder import history_path
from storage.following import follow_feeds, unfollow_feeds
from tocsin.errors import OpmlError, SettingsError
from tocsin.settings import load_settings
from tocsin.types import Feed, Topic

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GIVEN, FOLLOWED, SET = "https://given.example/a", "https://ann:pw@followed.example/b", "https://set.example/c"


@pytest.fixture
def make_settings(tmp_path, monkeypatch):
    """Settings of an empty folder, which no environment but the test's touches."""
    for name in ("TOCSIN_FEEDS", "TOCSIN_CONFIG", "TOCSIN_TOPICS", "SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def make(**changes):
        return load_settings(data=tmp_path / "data", **changes)

    return make


def follow(settings, *feeds):
    with Database(history_path(settings.data)).write() as con:
        follow_feeds(con, feeds, NOW)


def feeds_of_a_run(settings, **asked):
    with open_run(settings, Request(**asked), run_id="run") as run:
        return [feed.url for feed in run.options.feeds]


def test_the_given_go_before_the_followed_and_these_before_the_settings(make_settings):
    settings = make_settings(feeds=[SET])
    assert feeds_of_a_run(settings) == [SET]
    follow(settings, Feed(FOLLOWED))
    assert feeds_of_a_run(settings) == [FOLLOWED]
    assert feeds_of_a_run(settings, dry_run=True) == [FOLLOWED]
    assert feeds_of_a_run(settings, feeds=[GIVEN]) == [GIVEN]


def test_without_any_feed_the_newsroom_is_polled(make_settings):
    urls = feeds_of_a_run(make_settings())
    assert len(urls) > 10
    assert {url.split(":")[1] for url in urls} == {"//127.0.0.1"}


def test_a_history_that_had_feeds_is_never_given_the_newsroom(make_settings):
    settings = make_settings()
    follow(settings, Feed(FOLLOWED))
    with Database(history_path(settings.data)).write() as con:
        unfollow_feeds(con, [FOLLOWED], NOW)
    with pytest.raises(SettingsError, match="tocsin feeds add"):
        check_request(settings, Request())
    assert feeds_of_a_run(settings, feeds=[GIVEN]) == [GIVEN]
    assert feeds_of_a_run(make_settings(feeds=[SET])) == [SET]


def test_a_broken_list_in_the_settings_stops_no_run_that_does_not_need_it(make_settings):
    settings = make_settings(feeds=["absent.opml"])
    with pytest.raises(OpmlError, match=r"absent\.opml"):
        check_request(settings, Request())
    follow(settings, Feed(FOLLOWED))
    check_request(settings, Request())


def test_a_run_polls_and_stores_the_followed_feeds_under_their_names(make_settings):
    topic = Topic(name="cables", description="Undersea cables and what happens to them.")
    with Newsroom(anchor=NOW, port=0) as newsroom:
        settings = make_settings(allow_networks="127.0.0.0/8", feeds=[newsroom.url("/kestrel-post/rss.xml")])
        url = newsroom.url("/world-desk/rss.xml")
        follow(settings, Feed(url, "My own title", folder="World"))
        with open_run(settings, Request(topics=[topic]), run_id="run") as run:
            run_steps(run)
        assert [path for _, path, _ in newsroom.requests] == ["/world-desk/rss.xml"]
    assert run.report.new_articles > 0
    with Database(history_path(settings.data)).read() as con:
        rows = con.execute("SELECT url, title, folder, health FROM feed_health").fetchall()
    assert rows == [(url, "My own title", "World", "ok")]


def outlets_of_a_run(settings, *channels, **asked):
    with open_run(settings, Request(feeds=[GIVEN], **asked), run_id="run") as run:
        names = [run.outlet_for(channel).name for channel in channels]
        return names, run.options.channel, run.options.operator_channel


WEBHOOK = {"webhook_url": "https://hook.example/x", "webhook_secret": "s"}
SLACK_WEBHOOK = {"slack_webhook": "https://hooks.slack.com/services/T0/B0/x"}


@pytest.mark.parametrize(
    ("given", "outlets", "default"),
    [
        ({}, ["console", "console", "webhook"], "console"),
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, ["slack", "console", "webhook"], "#tocsin"),
        (SLACK_WEBHOOK, ["slack_webhook", "console", "webhook"], "#tocsin"),
        (SLACK_WEBHOOK | {"SLACK_BOT_TOKEN": "xoxb-1"}, ["slack", "console", "webhook"], "#tocsin"),
        (WEBHOOK, ["console", "console", "webhook"], "webhook:default"),
    ],
)
def test_a_channel_names_its_outlet(make_settings, given, outlets, default):
    found = outlets_of_a_run(make_settings(**given), "policy", "console", "webhook:desk")
    assert found == (outlets, default, default)


def test_a_dry_run_prints_whatever_is_set(make_settings):
    names, _, _ = outlets_of_a_run(make_settings(**WEBHOOK), "policy", "webhook:desk", dry_run=True)
    assert names == ["console", "console"]


def test_a_topic_may_name_a_webhook():
    topic = Topic(name="own", description="Something to watch.", channel="webhook:desk")
    assert topic.channel == "webhook:desk"


def policy_of_a_run(settings, **asked):
    with open_run(settings, Request(feeds=[GIVEN], **asked), run_id="run") as run:
        return run.options.policy


def test_what_settings_say_of_ringing_reaches_the_run(make_settings):
    policy = policy_of_a_run(
        make_settings(
            quiet_hours="22:00-07:00",
            time_zone="Europe/Berlin",
            muted_outlets="Spam  Daily",
            first_tier_outlets="Wire",
            low_tier_outlets="Blog",
            hold_warnings=False,
        )
    )
    assert policy.max_age == timedelta(days=7)
    assert policy.quiet_until(NOW.replace(hour=21)) == datetime(2026, 11, 21, 6, tzinfo=UTC)
    assert policy.tiers.is_muted("SPAM daily")
    assert (policy.tiers.standing(["Wire", "Blog"]), policy.tiers.standing(["BLOG"])) == ("first", "low")
    assert policy.hold_warnings is False


def test_without_settings_nothing_is_quiet_and_days_are_utc(make_settings):
    policy = policy_of_a_run(make_settings())
    assert (policy.quiet, policy.zone) == (None, UTC)


@pytest.mark.parametrize(
    ("asked", "max_age"),
    [({}, timedelta(days=3)), ({"max_age_days": 1}, timedelta(days=1)), ({"max_age_days": 0}, None)],
)
def test_a_runs_own_age_limit_goes_before_the_settings(make_settings, asked, max_age):
    assert policy_of_a_run(make_settings(max_age_days=3), **asked).max_age == max_age


def test_a_dry_run_knows_no_quiet_hours(make_settings):
    assert policy_of_a_run(make_settings(quiet_hours="00:00-23:59"), dry_run=True).quiet is None
