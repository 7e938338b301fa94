"""A check explains what a poll would do with a feed, step by step, and gives no secret away."""

import json
from dataclasses import asdict
from datetime import timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.check_feed import History, check_feed
from flows.check_findings import Address, IdField, identified_by, span
from flows.feeds.identity import identify_entries, keys_to_look_up
from flows.feeds.schedule import schedule_poll
from tocsin.errors import FeedError
from tocsin.types import Entry, Feed, FeedState, Validators

DATED = (
    "<item><title>{0}</title><link>https://n.example/{0}</link><guid>{0}</guid><pubDate>{1}</pubDate></item>"
)
TODAY, LONG_AGO = "Fri, 20 Nov 2026 10:00:00 GMT", "Fri, 02 Jan 2026 10:00:00 GMT"


@pytest.fixture
def check(server, make_options, now):
    """Check a URL of the loopback server as the command would."""

    def run(url, history=None, **changes):
        return check_feed(Feed(url), now=now, options=make_options(**changes), history=history)

    return run


def test_a_good_feed_is_described_from_address_to_next_poll(server, rss, check, now):
    body = rss(DATED.format("one", TODAY), DATED.format("two", LONG_AGO))
    url = server.reply("/feed", body, content_type="application/rss+xml", etag='"x"')
    found = check(url)
    assert found.is_usable
    assert found.transfer.addresses == (Address("127.0.0.1", "127.0.0.1", is_allowed=True),)
    assert [(hop.url, hop.status, hop.address) for hop in found.transfer.hops] == [(url, 200, "127.0.0.1")]
    assert (found.transfer.body_bytes, found.transfer.etag) == (len(body), '"x"')
    assert (found.contents.format, found.contents.title) == ("rss20", "News")
    assert (found.contents.entries, found.contents.dated) == (2, 2)
    assert found.contents.newest_at == now - timedelta(hours=2)
    assert found.contents.oldest_at.isoformat() == "2026-01-02T10:00:00+00:00"
    assert found.identity.identified_by == "link and guid"
    assert found.history is None
    assert found.next_poll.due_at is None
    assert found.next_poll.reasons == (
        f"the feed's rhythm gives an interval of {span(found.next_poll.at - now)}",
    )
    assert found.warnings == ()
    assert len(server.requests) == 1


def test_each_redirect_is_shown_and_a_lasting_one_is_advised_to_be_followed(server, rss, check):
    target = server.reply("/new", rss(("A", "https://n.example/a")), etag='"x"')
    start = server.reply("/old", status=301, location="/new")
    found = check(start)
    assert [(hop.url, hop.status, hop.redirected_to) for hop in found.transfer.hops] == [
        (start, 301, "/new"),
        (target, 200, None),
    ]
    assert found.transfer.final_url == target
    assert f"The feed has moved for good: follow {target} instead" in found.warnings


def test_a_passing_redirect_is_no_reason_to_follow_another_address(server, rss, check):
    server.reply("/new", rss(("A", "https://n.example/a")), etag='"x"')
    found = check(server.reply("/old", status=302, location="/new"))
    assert not any("moved" in warning for warning in found.warnings)


def test_a_private_address_is_refused_with_the_setting_that_opens_it(server, check):
    found = check(server.reply("/feed", b""), allow_networks=())
    assert not found.is_usable
    assert found.transfer.addresses == (Address("127.0.0.1", "127.0.0.1", is_allowed=False),)
    assert found.transfer.reason == "forbidden_address"
    assert "TOCSIN_ALLOW_NETWORKS" in found.transfer.message
    assert found.transfer.hops == ()
    assert server.requests == []


def test_a_redirect_into_a_closed_network_shows_where_it_led(server, check):
    start = server.reply("/old", status=302, location=server.url("/feed", host="127.0.0.2"))
    found = check(start, allow_networks=(ip_network("127.0.0.1/32"),))
    assert [each.is_allowed for each in found.transfer.addresses] == [True, False]
    assert found.transfer.reason == "forbidden_address"


def test_a_page_names_the_feeds_to_try(server, check):
    links = "".join(f'<link rel="alternate" type="application/rss+xml" href="/f{n}">' for n in range(5))
    found = check(server.reply("/page", f"<!doctype html><html><head>{links}</head></html>".encode()))
    assert not found.is_usable
    assert found.transfer.reason == "html"
    assert found.feed_links == tuple(server.url(f"/f{n}") for n in range(5))
    assert found.contents is None
    assert found.identity is None


def test_a_failure_says_how_bad_it_is_and_when_it_is_tried_again(server, check, now):
    url = server.reply("/feed", status=503, retry_after="7200")
    found = check(url, History(FeedState(url, failures=2), is_followed=True, find_known=lambda _: {}))
    assert not found.is_usable
    assert (found.transfer.severity, found.transfer.status) == ("temporary", 503)
    assert found.next_poll.at == now + timedelta(hours=2)
    assert found.next_poll.reasons == (
        "a temporary failure, number 3 in a row",
        "the server asks to wait 2 hours (Retry-After)",
    )
    assert found.history.new_articles is None


def test_undated_shared_and_linkless_entries_are_warned_of(server, rss, check):
    items = [f"<item><title>Number {n}</title><guid isPermaLink='false'>same</guid></item>" for n in range(3)]
    found = check(server.reply("/feed", rss(*items)))
    assert found.is_usable
    assert found.identity.guids == IdField(given=3, distinct=1, shared=3)
    assert found.identity.links == IdField(given=0, distinct=0, shared=0)
    assert found.identity.identified_by == "headline and summary"
    assert found.identity.articles == 3
    assert found.warnings == (
        "The server gives no ETag and no Last-Modified: every poll fetches the whole feed",
        "3 of 3 entries have no usable date: first-seen time stands in",
        "3 of 3 entries share a guid with an entry of another headline",
        "No entry has a link of its own: alerts cannot lead to the article",
    )


def test_links_that_are_all_the_home_page_identify_nothing(server, rss, check):
    found = check(server.reply("/feed", rss(("A", "https://n.example/"), ("B", "https://n.example"))))
    assert found.identity.links.given == 0
    assert found.identity.articles == 2


def test_an_old_feed_and_an_empty_one_are_warned_of(server, rss, check):
    old = check(server.reply("/old", rss(DATED.format("one", LONG_AGO)), etag='"x"'))
    assert old.warnings == ("The newest entry is 322 days old",)
    empty = check(server.reply("/empty", rss(), etag='"x"'))
    assert empty.is_usable
    assert empty.warnings == ("The feed has no entries",)


def test_what_is_new_is_judged_against_the_history(server, rss, check, now, make_polled):
    url = server.reply("/feed", rss(("A", "https://n.example/a"), ("B", "https://n.example/b")))
    entries = [Entry("A", url="https://n.example/a"), Entry("B", url="https://n.example/b")]
    polled, polled_now = make_polled(Feed(url), entries[:1]), make_polled(Feed(url), entries)
    (article,) = identify_entries([polled], {}, now=now).articles
    known = dict.fromkeys(keys_to_look_up([polled]), article.article_id)
    state = FeedState(
        url,
        succeeded_at=now,
        interval=timedelta(minutes=40),
        baseline_at=now,
        next_poll_at=now + timedelta(minutes=9),
    )
    history = History(state, True, lambda keys: {key: known[key] for key in keys if key in known})
    found = check(url, history)
    assert (found.history.new_articles, found.history.seen_share) == (1, 0.5)
    assert found.history.is_followed
    assert not found.history.is_first_poll
    assert found.next_poll.due_at == now + timedelta(minutes=9)
    after = schedule_poll(state, polled_now, now=now, seen_share=0.5)
    assert found.next_poll.at == after.next_poll_at
    assert found.next_poll.reasons == (
        f"the feed's rhythm gives an interval of {span(after.interval)} (it was 40 minutes)",
    )


def test_a_state_with_validators_is_fetched_whole_all_the_same(server, rss, check, now):
    url = server.reply("/feed", rss(("A", "https://n.example/a")), etag='"x"')
    state = FeedState(url, Validators(url, '"x"'), body_hash="0", full_fetch_at=now, succeeded_at=now)
    assert check(url, History(state, True, lambda _: {})).contents.entries == 1
    assert "if-none-match" not in server.requests[0].headers


def test_user_and_password_are_sent_and_never_told(server, rss, check, caplog):
    caplog.set_level("DEBUG")
    server.reply("/new", rss(("A", "https://n.example/a")))
    server.reply("/feed", status=302, location=server.url("/new", userinfo="bob:secret2@"))
    found = check(server.url("/feed", userinfo="ann:hunter2@"))
    assert found.is_usable
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    told = json.dumps(asdict(found), default=str) + caplog.text + repr(found)
    assert "127.0.0.1" in told
    assert not [secret for secret in ("hunter2", "secret2", "ann:", "bob:") if secret in told]
    assert "User and password travel unencrypted: use https" in found.warnings


def test_what_cannot_be_reached_is_a_finding(make_options, now):
    async def nobody(host, port):
        raise FeedError("dns_unknown", f"Host name {host} cannot be resolved")

    found = check_feed(Feed("https://absent.example/"), now=now, options=make_options(), resolve=nobody)
    assert (found.is_usable, found.transfer.reason, found.transfer.hops) == (False, "dns_unknown", ())


counts = st.builds(
    lambda given, shared: IdField(given, max(given - shared, 0), min(shared, given)),
    st.integers(0, 5),
    st.integers(0, 5),
)


@given(counts, counts)
def test_a_field_is_called_unique_only_if_all_entries_have_their_own(links, guids):
    name = identified_by(links, guids, 5)
    is_unique = {"link": links.given == 5 and not links.shared, "guid": guids.given == 5 and not guids.shared}
    if any(is_unique.values()):
        assert name == " and ".join(key for key, value in is_unique.items() if value)
    else:
        assert name.endswith("headline and summary")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (90, "1.5 minutes"),
        (3600, "1 hour"),
        (86_400, "24 hours"),
        (259_200, "3 days"),
    ],
)
def test_a_length_of_time_reads_well(seconds, text):
    assert span(timedelta(seconds=seconds)) == text
