"""Embeddings and scores: which score is in use, which are kept, and what `matches` makes of them."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.articles import store_articles
from storage.database import Database
from storage.scores import DIMENSIONS, LANGUAGE, ScoreBlock, mark_unscored, store_embeddings, store_scores
from storage.topics import record_topics
from tocsin.errors import StorageError


def block(ids, values, *, topics=("export_controls",), versions=("v1",), revision="enc", head="zero-shot"):
    return ScoreBlock(
        ids,
        topics,
        versions,
        revision,
        [head] * len(topics),
        np.array(values, np.float32).reshape(len(ids), -1),
    )


@pytest.fixture
def stored(con, make_article, now):
    articles = [make_article(number, first_seen_at=now - timedelta(days=number)) for number in (1, 2, 3)]
    store_articles(con, "run", articles=articles, sightings=[], keys={})
    return con


def in_use(con) -> dict:
    rows = con.execute(
        "SELECT article_id, topic, topic_version, score FROM scores WHERE is_newest"
    ).fetchall()
    return {(article, topic): (version, pytest.approx(score)) for article, topic, version, score in rows}


# ---------------------------------------------------------------- embeddings


def test_embeddings_come_back_bit_by_bit(con):
    vectors = np.random.default_rng(1).standard_normal((3, DIMENSIONS)).astype(np.float32)
    store_embeddings(con, "enc", [5, 6, 7], vectors)
    rows = con.execute("SELECT embedding FROM embeddings ORDER BY article_id").fetchall()
    assert np.array_equal(np.array([row[0] for row in rows], np.float32), vectors)


def test_a_slice_of_a_larger_array_is_stored_as_it_looks(con):
    vectors = np.arange(8 * DIMENSIONS, dtype=np.float32).reshape(8, DIMENSIONS)[::-2]
    store_embeddings(con, "enc", [1, 2, 3, 4], vectors)
    assert con.execute("SELECT embedding[1] FROM embeddings ORDER BY article_id").fetchall() == [
        (float(vector[0]),) for vector in vectors
    ]


def test_an_embedding_is_kept_once_per_encoder_revision(con):
    for revision, value in [("a", 1), ("a", 2), ("b", 3)]:
        store_embeddings(con, revision, [1], np.full((1, DIMENSIONS), value, np.float32))
    rows = con.execute("SELECT encoder_revision, embedding[1] FROM embeddings ORDER BY ALL").fetchall()
    assert rows == [("a", 1.0), ("b", 3.0)]


@pytest.mark.parametrize(
    ("ids", "vectors"),
    [
        ([1], np.zeros((1, 383), np.float32)),
        ([1, 2], np.zeros((1, 384), np.float32)),
        ([1, 1], np.zeros((2, 384), np.float32)),
        ([1], np.full((1, 384), np.nan, np.float32)),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(con, ids, vectors):
    with pytest.raises(StorageError, match="cannot be stored"):
        store_embeddings(con, "enc", ids, vectors)


# ---------------------------------------------------------------- scores


def test_a_block_is_stored_by_article_and_topic_with_the_day_of_the_article(stored, now):
    store_scores(
        stored, block([1, 2], [[0.1, 0.2], [0.3, 0.4]], topics=("aa", "bb"), versions=("v1", "v2")), now
    )
    rows = stored.execute(
        "SELECT article_id, topic, topic_version, score, day, scored_at FROM scores ORDER BY ALL"
    )
    assert rows.fetchall() == [
        (1, "aa", "v1", pytest.approx(0.1), date(2025, 1, 26), now),
        (1, "bb", "v2", pytest.approx(0.2), date(2025, 1, 26), now),
        (2, "aa", "v1", pytest.approx(0.3), date(2025, 1, 25), now),
        (2, "bb", "v2", pytest.approx(0.4), date(2025, 1, 25), now),
    ]


def test_a_pair_that_was_scored_otherwise_names_its_own_head(stored, now):
    values = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    names = (("aa", "bb"), ("v1", "v1"), "enc", ("h1", "h2"))
    store_scores(stored, ScoreBlock([1, 2], *names, values, refined={(1, 0): "h1+nli-1"}), now)
    rows = stored.execute("SELECT article_id, topic, head FROM scores ORDER BY ALL").fetchall()
    assert rows == [(1, "aa", "h1"), (1, "bb", "h2"), (2, "aa", "h1+nli-1"), (2, "bb", "h2")]


def test_storing_the_same_scores_again_adds_nothing(stored, now):
    store_scores(stored, block([1, 2], [0.5, 0.6]), now)
    store_scores(stored, block([1, 2, 3], [0.9, 0.9, 0.7]), now + timedelta(days=1))
    assert in_use(stored) == {
        (1, "export_controls"): ("v1", 0.5),
        (2, "export_controls"): ("v1", 0.6),
        (3, "export_controls"): ("v1", 0.7),
    }
    assert stored.execute("SELECT count(*) FROM scores").fetchall() == [(3,)]


versions = st.sampled_from(["v1", "v2", "v3"])
steps = st.lists(
    st.tuples(
        st.sets(st.sampled_from([1, 2, 3]), min_size=1),
        st.lists(
            st.tuples(st.sampled_from(["aa", "bb"]), versions),
            min_size=1,
            max_size=2,
            unique_by=lambda pair: pair[0],
        ),
        st.sampled_from(["enc-1", "enc-2"]),
        st.sampled_from(["zero-shot", "few-shot"]),
        st.floats(0, 1, width=32),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_the_score_stored_last_is_in_use_and_all_others_are_kept(undone, make_article, now, steps):
    kept, newest = {}, {}
    with undone() as con:
        store_articles(con, "run", articles=[make_article(n) for n in (1, 2, 3)], sightings=[], keys={})
        for ids, pairs, revision, head, score in steps:
            names, numbers = zip(*pairs, strict=True)
            values = np.full((len(ids), len(pairs)), score, np.float32)
            store_scores(
                con, ScoreBlock(list(ids), names, numbers, revision, [head] * len(names), values), now
            )
            for identity in ((n, topic, version, revision, head) for n in ids for topic, version in pairs):
                kept.setdefault(identity, score)
                newest[identity[:2]] = identity
        rows = con.execute(
            "SELECT article_id, topic, topic_version, encoder_revision, head, score, is_newest FROM scores"
        ).fetchall()
    assert {row[:5]: row[5] for row in rows} == kept
    assert len(rows) == len(kept)
    assert {row[:2]: row[:5] for row in rows if row[6]} == newest


def test_scores_of_an_article_that_is_not_stored_are_refused(con, now):
    with pytest.raises(Exception, match="NOT NULL"):
        store_scores(con, block([99], [0.5]), now)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": [1, 1], "values": [0.1, 0.2]},
        {"ids": [1], "values": [float("nan")]},
        {"ids": [1], "values": [1.5]},
        {"ids": [1], "values": [-0.1]},
        {"ids": [1], "values": [[0.1, 0.2]]},
        {"ids": [1], "values": [0.1], "versions": ()},
        {"ids": [1], "values": [[0.1, 0.1]], "topics": ("aa", "aa"), "versions": ("v", "v")},
    ],
)
def test_a_block_that_does_not_fit_is_refused(wrong):
    with pytest.raises(StorageError, match="cannot be stored"):
        block(**wrong)


# ---------------------------------------------------------------- articles that cannot be judged


def unscored(con) -> list:
    return con.execute(
        "SELECT article_id, reason, encoder_revision, marked_at FROM unscored_articles ORDER BY ALL"
    ).fetchall()


def test_an_article_that_cannot_be_judged_is_marked_once_with_the_reason(stored, now):
    mark_unscored(stored, "enc", [1, 2, 2], reason=LANGUAGE, now=now)
    mark_unscored(stored, "enc", [2, 3], reason=LANGUAGE, now=now + timedelta(days=1))
    later = now + timedelta(days=1)
    assert unscored(stored) == [
        (1, "language", "enc", now),
        (2, "language", "enc", now),
        (3, "language", "enc", later),
    ]
    assert stored.execute("SELECT count(*) FROM unscored").fetchall() == [(3,)]


def test_an_article_that_two_encoders_cannot_judge_is_listed_once_by_the_last(stored, now):
    mark_unscored(stored, "old", [1], reason=LANGUAGE, now=now)
    mark_unscored(stored, "new", [1], reason=LANGUAGE, now=now + timedelta(days=1))
    assert unscored(stored) == [(1, "language", "new", now + timedelta(days=1))]


def test_scores_by_another_encoder_take_an_article_off_the_list(stored, now):
    mark_unscored(stored, "english", [1, 2], reason=LANGUAGE, now=now)
    store_scores(stored, block([1, 3], [0.5, 0.6], revision="multilingual"), now)
    assert [row[0] for row in unscored(stored)] == [2]


def test_no_articles_to_mark_leave_no_mark(stored, now):
    mark_unscored(stored, "enc", [], reason=LANGUAGE, now=now)
    assert unscored(stored) == []


# ---------------------------------------------------------------- views


def score_for(con, topic, ids, values, now):
    recorded = record_topics(con, [topic], run_id="run", now=now)
    store_scores(con, block(ids, values, topics=(topic.name,), versions=(recorded[topic.name],)), now)


def matched(con) -> dict[int, float]:
    return dict(con.execute("SELECT article_id, score FROM matches ORDER BY article_id").fetchall())


def test_a_match_is_a_score_at_or_above_the_threshold(stored, make_topic, now):
    score_for(stored, make_topic(threshold=0.5), [1, 2, 3], [0.5, 0.49, 0.9], now)
    assert list(matched(stored)) == [1, 3]


def test_a_match_says_all_an_analyst_needs_without_a_join(stored, make_topic, make_article, now):
    score_for(stored, make_topic(threshold=0.5), [1], [0.75], now)
    article = make_article(1)
    rows = stored.execute(
        "SELECT topic, score, threshold, title, outlet, url, published_at, first_seen_at, day FROM matches"
    ).fetchall()
    seen_at = now - timedelta(days=1)
    expected = (article.title, article.outlet, article.url, article.published_at, seen_at, seen_at.date())
    assert rows == [("export_controls", 0.75, 0.5, *expected)]


def test_an_edited_topic_keeps_old_matches_until_history_is_scored_again(stored, make_topic, now):
    old, new = make_topic(threshold=0.5), make_topic(threshold=0.8)
    score_for(stored, old, [1, 2], [0.6, 0.9], now)
    score_for(stored, new, [3], [0.7], now)
    assert list(matched(stored)) == [1, 2]
    score_for(stored, new, [1, 2, 3], [0.6, 0.9, 0.7], now)
    assert list(matched(stored)) == [2]
    score_for(stored, old, [1, 2, 3], [0.6, 0.9, 0.7], now)
    assert list(matched(stored)) == [1, 2, 3]


def test_topic_daily_counts_matches_among_the_articles_scored_that_day(con, make_article, make_topic, now):
    late = now.replace(hour=23, minute=59)
    articles = [
        make_article(1),
        make_article(2, first_seen_at=late),
        make_article(3, first_seen_at=now + timedelta(1)),
    ]
    store_articles(con, "run", articles=articles, sightings=[], keys={})
    score_for(con, make_topic(threshold=0.5), [1, 2, 3], [0.9, 0.1, 0.2], now)
    assert con.execute("FROM topic_daily ORDER BY day").fetchall() == [
        (date(2025, 1, 27), "export_controls", 1, 2, 0.5),
        (date(2025, 1, 28), "export_controls", 0, 1, 0.0),
    ]


def test_vectors_are_stored_unpacked_since_unpacking_is_a_third_of_reading(tmp_path):
    file = Database(tmp_path / "tocsin.duckdb")
    vectors = np.random.default_rng(0).standard_normal((3_000, DIMENSIONS)).astype(np.float32)
    with file.write() as con:
        store_embeddings(con, "enc-1", list(range(3_000)), vectors)
    with file.read() as con:
        packed = con.execute(
            "SELECT DISTINCT compression FROM pragma_storage_info('embeddings') WHERE segment_type = 'FLOAT'"
        ).fetchall()
    assert packed == [("Uncompressed",)]
