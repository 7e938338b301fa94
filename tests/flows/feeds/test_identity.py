"""Which entries are one article: within a poll, across feeds, and against everything seen before."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flows.feeds.identity import Identities, entry_keys, identify_entries, keys_to_look_up
from tocsin.types import Entry, Exchange, Feed, Fetched, FetchFailed, ParsedFeed, Polled

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = datetime(2026, 11, 19, 8, 0, tzinfo=UTC)
A, B = "https://a.example/feed", "https://b.example/feed"
LONG = (
    "The ministry widened its list of controlled chips on Thursday, naming twelve firms and two laboratories."
)


def poll(url, *entries, parsed_title=None, **feed):
    exchange = Exchange(url, url, fetched_at=NOW, seconds=0.1, status=200)
    outcome = Fetched(exchange, body=b"", body_hash="0" * 64)
    return Polled(Feed(url, **feed), outcome, ParsedFeed(tuple(entries), format="rss20", title=parsed_title))


def entry(title="Chip controls tightened again", **fields):
    return Entry(title=title, **fields)


def identify(*polled, known=None):
    return identify_entries(polled, known or {}, now=NOW)


def again(first, *polled):
    """Identify a later poll with what the first one left behind."""
    return identify(*polled, known=first.keys)


def titles(identified):
    return sorted(article.title for article in identified.articles)


def test_a_new_entry_becomes_an_article_with_one_sighting():
    item = entry(summary=LONG, url="https://a.example/1", guid="1", published_at=DAY)
    found = identify(poll(A, item))
    (article,), (sighting,) = found.articles, found.sightings
    assert (article.title, article.summary, article.url) == (item.title, LONG, item.url)
    assert (article.feed_url, article.published_at, article.first_seen_at) == (A, DAY, NOW)
    assert 0 <= article.article_id < 2**63
    assert (sighting.article_id, sighting.feed_url, sighting.guid) == (article.article_id, A, "1")
    assert (sighting.seen_at, sighting.is_new) == (NOW, True)
    assert set(found.keys.values()) == {article.article_id}
    assert (found.new_per_feed, found.seen_share) == ({A: 1}, {A: 0.0})


def test_an_entry_seen_before_is_sighted_but_not_new():
    item = poll(A, entry(url="https://a.example/1"))
    first = identify(item)
    second = again(first, item)
    assert second.articles == ()
    assert [each.is_new for each in second.sightings] == [False]
    assert second.sightings[0].article_id == first.articles[0].article_id
    assert (second.keys, second.seen_share) == ({}, {A: 1.0})


SAME = {
    "edited headline at the same URL": (
        entry("Chips banned", url="https://a.example/1"),
        entry("Chips banned, ministry says", url="https://a.example/1"),
    ),
    "guid that holds the headline": (
        entry("Chips banned", url="https://a.example/1", guid="Chips banned"),
        entry("Chips now banned", url="https://a.example/1", guid="Chips now banned"),
    ),
    "new URL, same guid": (
        entry("Chips", url="https://a.example/chips", guid="77"),
        entry("Chips banned", url="https://a.example/chips-banned", guid="77"),
    ),
    "tracking parameters": (
        entry(url="https://a.example/1?utm_source=x"),
        entry(url="http://www.a.example/1/?utm_source=y"),
    ),
    "republished date": (
        entry(url="https://a.example/1", published_at=DAY),
        entry(url="https://a.example/1", published_at=DAY + timedelta(days=3)),
    ),
    "neither URL nor guid": (entry("Chips"), entry("CHIPS!")),
    "only the home page as URL": (
        entry("Chips", url="https://a.example/"),
        entry("Chips", url="https://a.example"),
    ),
}
DIFFERENT = {
    "two URLs": (entry(url="https://a.example/1"), entry(url="https://a.example/2")),
    "two URLs, the home page as guid": (
        entry("One", url="https://a.example/1", guid="https://a.example/"),
        entry("Two", url="https://a.example/2", guid="https://a.example/"),
    ),
    "the feed's own URL as guid": (
        entry("One", url="https://a.example/1", guid=A),
        entry("Two", url="https://a.example/2", guid=A),
    ),
    "the home page as only URL": (
        entry("One", url="https://a.example/"),
        entry("Two", url="https://a.example/"),
    ),
    "neither URL nor guid": (entry("One"), entry("Two")),
    "recurring piece with its text on another day": (
        entry(summary=LONG, url="https://a.example/1", published_at=DAY),
        entry(summary=LONG, url="https://a.example/2", published_at=DAY + timedelta(days=1)),
    ),
    "recurring piece without dates": (
        entry(summary=LONG, url="https://a.example/1"),
        entry(summary=LONG, url="https://a.example/2"),
    ),
    "short text that tells too little": (
        entry("Market wrap", url="https://a.example/1", published_at=DAY),
        entry("Market wrap", url="https://a.example/2", published_at=DAY),
    ),
    "short title over the same long text": (
        entry("Live: chips", summary=LONG, url="https://a.example/1", published_at=DAY),
        entry("Live: chips", summary=LONG, url="https://a.example/2", published_at=DAY),
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_one_article_is_recognized_in_a_later_poll(case):
    before, after = SAME[case]
    first = identify(poll(A, before))
    second = again(first, poll(A, after))
    assert second.articles == ()
    assert second.sightings[0].article_id == first.articles[0].article_id


@pytest.mark.parametrize("case", DIFFERENT)
def test_another_article_is_not_lost_in_a_later_poll(case):
    before, after = DIFFERENT[case]
    assert len(again(identify(poll(A, before)), poll(A, after)).articles) == 1


@pytest.mark.parametrize("case", DIFFERENT)
def test_another_article_is_not_lost_in_the_same_poll(case):
    assert len(identify(poll(A, *DIFFERENT[case])).articles) == 2


def test_a_guid_that_all_entries_share_is_ignored():
    entries = [entry(f"Headline {n}", url=f"https://a.example/{n}", guid="0") for n in range(10)]
    assert len(identify(poll(A, *entries)).articles) == 10


def test_a_url_that_entries_with_other_titles_share_is_ignored():
    entries = [entry(f"Headline {n}", url="https://a.example/live", guid=str(n)) for n in range(5)]
    first = identify(poll(A, *entries))
    assert len(first.articles) == 5
    assert again(first, poll(A, *entries)).articles == ()


def test_an_entry_that_a_feed_repeats_is_one_article():
    item = entry(url="https://a.example/1", guid="1")
    found = identify(poll(A, item, item, replace(item, guid="2")))
    assert (len(found.articles), len(found.sightings)) == (1, 1)


def test_the_same_guid_in_two_feeds_means_nothing():
    polls = poll(A, entry("One", guid="1")), poll(B, entry("Two", guid="1"))
    assert len(identify(*polls).articles) == 2


def test_the_same_url_in_two_feeds_is_one_article_with_two_sightings():
    early = entry("Chips banned", url="https://a.example/1", published_at=DAY)
    late = replace(early, title="BANNED: chips", published_at=DAY + timedelta(hours=1))
    found = identify(poll(B, late), poll(A, early))
    assert titles(found) == ["Chips banned"]
    assert [(each.feed_url, each.is_new) for each in found.sightings] == [(A, True), (B, False)]
    assert found.new_per_feed == {A: 1}


def test_wire_copy_on_one_day_is_one_article():
    copies = [
        poll(f"https://{n}.example/feed", entry(summary=LONG, url=f"https://{n}.example/x", published_at=DAY))
        for n in range(6)
    ]
    found = identify(*copies)
    assert (len(found.articles), len(found.sightings)) == (1, 6)


def test_entries_joined_by_a_third_are_one_article():
    url, guid = "https://a.example/1", "guid"
    found = identify(
        poll(
            A,
            entry("x", url=url),
            entry("x", url="https://a.example/2", guid=guid),
            entry("x", url=url, guid=guid),
        )
    )
    assert len(found.articles) == 1


def test_an_entry_between_two_known_articles_makes_no_third():
    by_url, by_guid = entry("One", url="https://a.example/1"), entry("Two", guid="2")
    first = identify(poll(A, by_url, by_guid))
    second = again(first, poll(A, entry("Three", url="https://a.example/1", guid="2")))
    assert second.articles == ()
    assert second.sightings[0].article_id == min(first.keys.values())


def test_feeds_without_entries_or_with_failures_are_passed_over():
    url = "https://c.example/feed"
    failed = Polled(Feed(url), FetchFailed(Exchange(url, url, NOW, 0.1), "soft", "html", "x"))
    found = identify(failed, poll(A))
    assert (found.articles, found.sightings, found.seen_share) == ((), (), {})
    assert keys_to_look_up([failed, poll(A)]) == []


def test_the_share_seen_before_is_told_per_feed():
    old = [entry(f"Old {n}", url=f"https://a.example/{n}") for n in range(3)]
    first = identify(poll(A, *old))
    second = again(
        first, poll(A, *old, entry("New", url="https://a.example/9")), poll(B, entry("B", guid="1"))
    )
    assert second.seen_share == {A: 0.75, B: 0.0}
    assert second.new_per_feed == {A: 1, B: 1}


@pytest.mark.parametrize(
    ("item", "feed", "parsed_title", "outlet"),
    [
        (entry(outlet="The Daily"), {"outlet": "x", "title": "y"}, "z", "The Daily"),
        (entry(), {"outlet": "Ministry", "title": "y"}, "z", "Ministry"),
        (entry(), {"title": "Tech Policy"}, "z", "Tech Policy"),
        (entry(), {}, "Feed Title", "Feed Title"),
        (entry(), {}, None, "a.example"),
    ],
)
def test_the_outlet_is_the_best_name_there_is(item, feed, parsed_title, outlet):
    assert identify(poll(A, item, parsed_title=parsed_title, **feed)).articles[0].outlet == outlet


def test_the_same_run_repeated_gives_the_same_ids():
    polled = poll(A, entry(url="https://a.example/1"), entry("Two", guid="2"))
    assert identify(polled) == identify(polled)


def test_keys_do_not_change_between_versions():
    """Seen entries are remembered for ever, so these numbers must stay what they are."""
    item = entry(summary=LONG, url="http://www.a.example/1?utm_source=x", guid="g", published_at=DAY)
    assert entry_keys(A, item).all == (
        7_271_718_553_136_248_793,
        6_147_448_637_537_524_800,
        6_015_673_401_689_442_255,
    )
    assert entry_keys(A, entry("Chips")).all == (9_169_088_714_090_032_412,)


def polled_in_turn(*polls):
    """Identify poll after poll as a run does, with the headlines that storage would have; gives each."""
    known, headlines, found = {}, {}, []
    for polled in polls:
        identities = Identities([polled])
        doubtful = {key: headlines[key] for key in identities.doubtful_articles(known)}
        found.append(identities.tie(known, now=NOW, headlines=doubtful))
        known |= found[-1].keys
        for sighting in found[-1].sightings:
            headlines.setdefault(sighting.article_id, []).append(sighting.title)
    return found


def test_a_feed_of_one_entry_that_uses_one_guid_for_ever_loses_no_article():
    news = [
        entry("Chips banned", url="https://a.example/chips", guid="latest"),
        entry("Minister resigns over bugging", url="https://a.example/minister", guid="latest"),
        entry("Minister resigns after bugging row", url="https://a.example/minister", guid="latest"),
        entry("Court blocks data transfers", url="https://a.example/court", guid="latest"),
    ]
    found = polled_in_turn(*[poll(A, each) for each in news])
    assert [len(each.articles) for each in found] == [1, 1, 0, 1]
    repeated = polled_in_turn(*[poll(A, each) for each in [*news, *news]])
    assert [len(each.articles) for each in repeated[4:]] == [0, 0, 0, 0]


def test_an_edit_that_changes_headline_and_url_is_still_known_by_its_guid():
    first = entry("Chips banned by ministry", url="https://a.example/chips-banned", guid="77")
    edited = entry("Ministry: chips now banned", url="https://a.example/ministry-bans", guid="77")
    assert [len(each.articles) for each in polled_in_turn(poll(A, first), poll(A, edited))] == [1, 0]


# ---------------------------------------------------------------- laws

WORDS = st.sampled_from(["Chips", "Banned", "Chip controls tightened again"])
ENTRIES = st.builds(
    Entry,
    title=WORDS,
    summary=st.sampled_from(["", "short", LONG]),
    url=st.sampled_from([None, "https://a.example/", *(f"https://a.example/{n}" for n in range(4))]),
    guid=st.sampled_from([None, "1", "2", "3", "Chips"]),
    published_at=st.sampled_from([None, DAY, DAY + timedelta(days=1)]),
)
POLLS = st.lists(
    st.builds(
        lambda url, entries: poll(url, *entries),
        st.sampled_from([A, B, "https://c.example/feed"]),
        st.lists(ENTRIES, max_size=5),
    ),
    max_size=4,
    unique_by=lambda polled: polled.feed.url,
)


def remembered(polls):
    known = {}
    for polled in polls:
        known |= identify(polled, known=known).keys
    return known


@given(POLLS, POLLS, st.randoms(use_true_random=False))
def test_order_does_not_matter(before, polls, random):
    known = remembered(before)
    shuffled = [
        replace(
            polled,
            parsed=replace(
                polled.parsed, entries=tuple(random.sample(polled.parsed.entries, len(polled.parsed.entries)))
            ),
        )
        for polled in random.sample(polls, len(polls))
    ]
    assert identify(*polls, known=known) == identify(*shuffled, known=known)


@example(
    [poll(A, entry("Chips", url="https://a.example/0"), entry("Chips", url="https://a.example/1"))],
    [
        poll(
            A,
            entry("Chips", url="https://a.example/0", guid="2"),
            entry("Chips", url="https://a.example/1", guid="2"),
        )
    ],
)
@given(POLLS, POLLS)
def test_a_repeated_poll_brings_nothing_new_and_the_same_ids(before, polls):
    known = remembered(before)
    first = identify(*polls, known=known)
    second = identify(*polls, known={**known, **first.keys})
    assert second.articles == ()
    assert second.keys == {}
    assert [(each.feed_url, each.article_id) for each in second.sightings] == [
        (each.feed_url, each.article_id) for each in first.sightings
    ]
    assert all(share == 1.0 for share in second.seen_share.values())


@given(POLLS, POLLS)
def test_every_entry_has_an_article_and_every_new_article_one_creator(before, polls):
    known = remembered(before)
    found = identify(*polls, known=known)
    new = {article.article_id for article in found.articles}
    assert not new & set(known.values())
    assert Counter(each.article_id for each in found.sightings if each.is_new) == Counter(new)
    assert {each.article_id for each in found.sightings} - new <= set(known.values())
    assert {each.feed_url for each in found.sightings} == {
        each.feed.url for each in polls if each.parsed.entries
    }
    assert set(keys_to_look_up(polls)) >= set(found.keys)
    assert not set(found.keys) & set(known)
