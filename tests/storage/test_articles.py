"""Articles, entries and what was seen: stored once, remembered for ever."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.articles import find_known, store_articles

LARGEST_KEY = 2**63 - 1

identities = st.dictionaries(st.integers(0, LARGEST_KEY), st.integers(0, LARGEST_KEY), max_size=20)


def count(con, table: str) -> int:
    return con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]


def test_an_article_is_stored_as_it_is(con, make_article, now):
    article = make_article(
        LARGEST_KEY,
        title="„Ünïcode” 漢字 \U0001f514 -- '; DROP TABLE articles",
        published_at=None,
        language="de",
        full_text="First paragraph.\nSecond one.",
    )
    assert store_articles(con, "run", articles=[article], sightings=[], keys={}) == 1
    assert con.execute("FROM articles").fetchall() == [
        (
            LARGEST_KEY,
            article.url,
            article.title,
            article.summary,
            article.outlet,
            article.feed_url,
            None,
            now,
            "run",
            "de",
            "First paragraph.\nSecond one.",
        )
    ]


def test_an_article_without_language_and_full_text_has_none_stored(con, make_article):
    store_articles(con, "run", articles=[make_article(1)], sightings=[], keys={})
    assert con.execute("SELECT language, full_text FROM articles").fetchall() == [(None, None)]


def test_storing_again_changes_nothing(con, make_article, make_sighting):
    batch = {
        "articles": [make_article(1), make_article(2)],
        "sightings": [make_sighting(1), make_sighting(2)],
        "keys": {10: 1, 20: 2},
    }
    assert store_articles(con, "run", **batch) == 2
    before = [
        con.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in ("articles", "entries", "seen")
    ]
    assert store_articles(con, "again", **batch) == 0
    after = [
        con.execute(f"FROM {table} ORDER BY ALL").fetchall() for table in ("articles", "entries", "seen")
    ]
    assert after == before


def test_doubles_within_one_batch_are_stored_once(con, make_article, make_sighting, now):
    later = now + timedelta(minutes=1)
    articles = [make_article(1, first_seen_at=later), make_article(1)]
    sightings = [make_sighting(1, seen_at=later), make_sighting(1)]
    assert store_articles(con, "run", articles=articles, sightings=sightings, keys={}) == 1
    assert con.execute("SELECT first_seen_at FROM articles").fetchall() == [(now,)]
    assert con.execute("SELECT first_seen_at FROM entries").fetchall() == [(now,)]


def test_entries_keep_each_feed_and_each_headline_once(con, make_article, make_sighting):
    store_articles(con, "run", articles=[make_article(1)], sightings=[], keys={})
    sightings = [
        make_sighting(1, title="First headline"),
        make_sighting(1, title="First headline", guid="other"),
        make_sighting(1, title="Edited headline"),
        make_sighting(1, title="First headline", feed_url="https://feeds.example/b"),
    ]
    for sighting in sightings * 2:
        store_articles(con, "run", articles=[], sightings=[sighting], keys={})
    assert con.execute("SELECT feed_url, title, guid FROM entries ORDER BY ALL").fetchall() == [
        ("https://feeds.example/a", "Edited headline", "guid-1"),
        ("https://feeds.example/a", "First headline", "guid-1"),
        ("https://feeds.example/b", "First headline", "guid-1"),
    ]


def test_a_title_with_half_a_character_does_not_lose_the_batch(con, make_article):
    store_articles(con, "run", articles=[make_article(1, title="broken \ud83d emoji")], sightings=[], keys={})
    assert con.execute("SELECT title FROM articles").fetchall() == [("broken ? emoji",)]


@settings(max_examples=40, deadline=None)
@given(identities, identities)
def test_what_was_seen_first_stands_for_ever(undone, first, second):
    with undone() as con:
        store_articles(con, "run", articles=[], sightings=[], keys=first)
        store_articles(con, "run", articles=[], sightings=[], keys=second)
        known = find_known(con, [*first, *second, 7])
        assert count(con, "seen") == len({*first, *second})
    assert {key: value for key, value in known.items() if key != 7 or 7 in {*first, *second}} == {
        **second,
        **first,
    }


def test_no_keys_and_no_articles_are_no_trouble(con):
    assert find_known(con, []) == {}
    assert store_articles(con, "run", articles=[], sightings=[], keys={}) == 0
