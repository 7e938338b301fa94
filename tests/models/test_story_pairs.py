"""The labelled pairs, how they are weighed, and what the rule reaches on the fresh ones."""

import gzip
import json
from collections import Counter

import numpy as np
import pytest

from models.background import load_background
from models.measure_stories import Lot, weigh_pairs
from models.story_events import load_event_reader
from models.story_pairs import (
    FRESH,
    FRESH_MONTHS,
    PAIRS,
    Pair,
    agree,
    name_articles,
    read_history,
    read_pairs,
    tell_interval,
    tell_wilson,
)
from models.story_rule import read_rule
from models.story_words import Weights


def make_pairs(*labels, weight=1.0, drawn="all"):
    return [Pair("a", "b", label, "history", drawn, weight) for label in labels]


def test_fresh_pairs_share_no_article_with_those_for_fitting_and_no_file_holds_text():
    assert not name_articles(read_pairs(FRESH)) & name_articles(read_pairs())
    for path in (PAIRS, FRESH):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert {tuple(line) for line in lines} == {
            ("one", "other", "label", "half", "drawn", "weight", "code")
        }
        assert max(len(line[key]) for line in lines for key in ("one", "other")) <= 13


def test_a_weight_says_how_many_pairs_of_the_stream_a_drawn_one_stands_for():
    for path in (PAIRS, FRESH):
        strata = Counter((pair.drawn, pair.weight) for pair in read_pairs(path) if pair.weight)
        for (drawn, weight), count in strata.items():
            taken, _, of, *_ = drawn.replace(",", " ").split()
            assert count == int(taken)
            assert weight == pytest.approx(int(of) / int(taken), abs=1e-3)


def test_pairs_count_by_their_weight_and_unsure_ones_not_at_all():
    pairs = [*make_pairs("same", "different", "unsure"), *make_pairs("same", "different", weight=3)]
    found = agree(np.array([True, True, True, True, False]), pairs)
    assert found.precision == pytest.approx(4 / 5)
    assert found.recall == 1
    assert (found.right, found.same, found.joined) == (2, 2, 3)
    assert agree(np.zeros(5, dtype=bool), pairs).precision == 0


def test_an_interval_holds_the_figure_and_shrinks_with_more_pairs():
    few, many = (make_pairs(*["same", "same", "same", "different"] * times) for times in (10, 100))
    widths = []
    for pairs in (few, many):
        (low, high), _ = tell_interval(np.ones(len(pairs), dtype=bool), pairs, draws=300)
        assert low < 0.75 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    low, high = tell_wilson(30, 40)
    assert (round(low, 3), round(high, 3)) == (0.598, 0.858)


def test_history_is_read_by_month_without_what_the_pool_holds(tmp_path, encoder):
    def item(number, title, published="2025-07-01T10:00:00+02:00", lang="en"):
        return {"url": f"https://a.example/{number}", "id": f"n{number}", "title": title, "summary": None,
                "outlet": "A", "published": published, "lang": lang}  # fmt: skip

    files = {
        "pool.jsonl.gz": [item(1, "Known already")],
        "history.jsonl.gz": [
            item(1, "known already"),
            item(2, "Ferry fares rise"),
            item(2, "Ferry fares rise"),
            item(3, "Another month", "2025-06-30T10:00:00Z"),
            item(4, "Keine Nachricht", lang="de"),
            item(5, "No date", None),
        ],
        "train.jsonl": [],
        "dev.jsonl": [],
    }
    for name, items in files.items():
        text = "".join(json.dumps(each) + "\n" for each in items).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    found = read_history(tmp_path, encoder, ["2025-07"])
    assert [article.title for article in found.articles] == ["Ferry fares rise"]
    assert found.articles[0].at.isoformat() == "2025-07-01T10:00:00+02:00"
    assert all(name.startswith("h") for name in found.rows)


@pytest.mark.slow
def test_fresh_pairs_are_told_apart(eval_folder, encoder):
    pairs, rule = read_pairs(FRESH), read_rule()
    history = read_history(eval_folder, encoder, FRESH_MONTHS, only=name_articles(pairs))
    odds = weigh_pairs(rule, Lot(history, pairs), Weights(load_background().lexicon), load_event_reader())
    found = agree(odds >= rule.limits.threshold, pairs)
    assert found.precision >= 0.92
    assert found.recall >= 0.53
