"""Choosing the limits of stories, and fitting weights: plain numbers, no encoder."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.fit_stories import choose_limits, cut_month_lots, fit_odds
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
    lot = make_lot("same", "same", step=timedelta(days=20))  # 2 and 22 July, 11 and 31 August
    found = {months: part for months, part in cut_month_lots(lot) if part.pairs}
    assert list(found) == [("2023-09", "2025-07"), ("2025-08", "2025-09")]
    assert [part.pairs for part in found.values()] == [[lot.pairs[0]], [lot.pairs[1]]]
    (august,) = [part for months, part in found.items() if "2025-08" in months]
    assert [article.article_id for article in august.pool.articles] == [0, 1]
    assert august.rows(august.pairs[0]) == (0, 1)


def test_weights_are_of_features_as_they_are_and_follow_the_labels():
    dice = np.random.default_rng(0)
    features = dice.normal(5, 2, size=(500, 2)).astype(np.float32)
    same = features[:, 0] > 5
    weights, offset = fit_odds(features, same)
    odds = features @ weights + offset
    assert ((odds > 0) == same).mean() > 0.97
    assert abs(weights[1]) < 0.1 * weights[0]
    assert fit_odds(features * 10, same)[0][0] == pytest.approx(weights[0] / 10, rel=1e-3)
