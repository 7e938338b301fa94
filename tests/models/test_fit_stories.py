"""Choosing the limits of stories, and fitting weights: plain numbers, no encoder."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.fit_stories import Material, Samples, choose_limits, cut_months, fit_odds
from models.measure_stories import Lot, join_pairs
from models.stories import Compared, Known
from models.story_pairs import Pair, Pool
from models.story_rule import Limits
from tocsin.types import StoryArticle

NOON = datetime(2025, 7, 2, 12, tzinfo=UTC)


def make_lot(*labels, begin=NOON, step=timedelta(hours=1)):
    """Make a lot of two articles for each label, one pair each."""
    articles = [
        StoryArticle(row, "Title", "", f"Outlet {row}", begin + row * step, "en")
        for row in range(2 * len(labels))
    ]
    names = {f"h{row}": row for row in range(len(articles))}
    pairs = [
        Pair(f"h{2 * at}", f"h{2 * at + 1}", label, "history", "all", 1.0) for at, label in enumerate(labels)
    ]
    return Lot(Pool(articles, names, np.zeros((len(articles), 2), dtype=np.float32)), pairs)


def compare(lot, *odds):
    """Give each pair its log-odds, all other pairs none."""
    near = {row: {row - 1: odds[row // 2]} if row % 2 else {} for row in range(2 * len(odds))}
    return Compared(Known([], lot.pool.vectors[:0]), lot.pool.articles, near)


def test_the_limits_find_most_at_the_precision_that_is_asked():
    lot = make_lot("same", "same", "same", "different", "same")
    limits, reached = choose_limits([(compare(lot, 3.6, 3.2, 2.6, 2.1, 1.1), lot)])
    assert limits.threshold == 2.5
    assert reached == {"asked": 0.95, "precision": 1.0, "recall": 0.75}


def test_where_that_finds_too_few_a_lower_precision_is_taken():
    labels, odds = ["same", "same", *["same"] * 13, "different"], [3.6, 3.6, *[2.1] * 14]
    lot = make_lot(*labels)
    limits, reached = choose_limits([(compare(lot, *odds), lot)])
    assert limits.threshold == 2.0
    assert reached == {"asked": 0.92, "precision": 0.938, "recall": 1.0}


def test_both_articles_of_a_pair_are_joined_if_they_reach_the_limits():
    lot = make_lot("same", "same")
    compared = compare(lot, 3.0, 1.0)
    assert join_pairs(compared, Limits(2.0, 0.0), lot).tolist() == [True, False]
    assert join_pairs(compared, Limits(0.5, 2.0), lot).tolist() == [True, False]
    assert join_pairs(compared, Limits(0.5, 0.5), lot).tolist() == [True, True]


def test_the_history_is_cut_by_months_with_the_pairs_that_lie_in_them():
    begin = NOON.replace(month=8, day=1)
    lot = make_lot(
        "same", "same", begin=begin, step=timedelta(days=17)
    )  # 1 and 18 August, 4 and 21 September
    found = {month: part for month, part in cut_months(lot) if part.pool.articles}
    assert list(found) == ["2025-09"]
    september = found["2025-09"]
    assert september.pairs == [lot.pairs[1]]
    assert [article.article_id for article in september.pool.articles] == [0, 1]
    assert september.rows(september.pairs[0]) == (0, 1)


def test_a_month_that_limits_are_chosen_on_is_in_no_weight():
    dice = np.random.default_rng(0)
    months = [{"2023-05"}] * 40 + [{"2023-10"}] * 40 + [{"2023-05", "2023-10"}] * 4
    same = np.arange(84) % 2 == 0
    # The first feature tells the label in May, and its opposite in October.
    sign = np.array([1] * 40 + [-1] * 40 + [1] * 4) * np.where(same, 1, -1)
    seen = dice.normal(0, 0.1, size=(84, 7)).astype(np.float32)
    seen[:, 0] += sign
    material = Material(
        Samples(seen[:, :6], same, months), Samples(seen, same, months), make_lot(), ("a", "b")
    )
    october, may = material.fit(without="2023-05"), material.fit(without="2023-10")
    assert october.weights["cosine"] < 0 < may.weights["cosine"]
    assert october.closer.weights["cosine"] < 0 < may.closer.weights["cosine"]
    assert (may.encoder_revision, may.closer.event_revision) == ("a", "b")


def test_weights_are_of_features_as_they_are_and_follow_the_labels():
    dice = np.random.default_rng(0)
    features = dice.normal(5, 2, size=(500, 2)).astype(np.float32)
    same = features[:, 0] > 5
    weights, offset = fit_odds(features, same)
    odds = features @ weights + offset
    assert ((odds > 0) == same).mean() > 0.97
    assert abs(weights[1]) < 0.1 * weights[0]
    assert fit_odds(features * 10, same)[0][0] == pytest.approx(weights[0] / 10, rel=1e-3)
