from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluate import (
    LabelledArticle,
    Scored,
    average_precision,
    evaluate_file,
    evaluate_scores,
    measure,
    read_labelled,
    refine_scored,
)
from models.topics import default_topics
from tocsin.errors import SettingsError
from tocsin.types import Topic


def topic(name: str, threshold: float = 0.5) -> Topic:
    return Topic(name=name, description="A topic for a test.", threshold=threshold)


def labelled(topics=(), unsure=()) -> LabelledArticle:
    return LabelledArticle("t", "s", frozenset(topics), frozenset(unsure))


def test_average_precision_of_a_case_computed_by_hand():
    # Ranks of the positives are 1, 3 and 5: (1/1 + 2/3 + 3/5) / 3.
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    positive = np.array([True, False, True, False, True])
    assert average_precision(positive, scores) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_tied_scores_share_one_rank():
    # Two ties of two: precision 1/2 at the first, 2/4 at the second.
    scores = np.array([0.9, 0.9, 0.1, 0.1], np.float32)
    assert average_precision(np.array([True, False, False, True]), scores) == pytest.approx(0.5)
    assert average_precision(np.array([False, True, True, False]), scores) == pytest.approx(0.5)


pairs = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])), min_size=1, max_size=40
)


@given(pairs, st.randoms())
def test_average_precision_is_bounded_and_ignores_the_order(items, rng):
    def ap(rows):
        return average_precision(
            np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.float32)
        )

    shuffled = items[:]
    rng.shuffle(shuffled)
    value, again = ap(items), ap(shuffled)
    if any(row[0] for row in items):
        assert 0 < value <= 1
        assert value == pytest.approx(again)
    else:
        assert value is again is None


def test_precision_recall_and_f1_at_the_threshold():
    figures = measure(np.array([True, True, False, False]), np.array([0.9, 0.2, 0.5, 0.1], np.float32), 0.5)
    assert (figures.matches, figures.positives) == (2, 2)
    assert (figures.precision, figures.recall, figures.f1) == (0.5, 0.5, 0.5)


def test_a_score_equal_to_the_threshold_matches():
    assert measure(np.array([True]), np.array([0.6], np.float32), 0.6).matches == 1


def test_what_the_data_cannot_tell_is_none_and_not_zero():
    none = measure(np.array([False, False]), np.array([0.9, 0.1], np.float32), 0.5)
    assert (none.ap, none.recall, none.f1, none.precision) == (None, None, None, 0.0)
    silent = measure(np.array([True, False]), np.array([0.3, 0.1], np.float32), 0.5)
    assert (silent.precision, silent.recall, silent.f1) == (None, 0.0, 0.0)


def test_unsure_articles_count_neither_way():
    articles = [labelled(["aa"]), labelled(), labelled(unsure=["aa"]), labelled(["aa"], unsure=["aa"])]
    scores = np.array([[0.9], [0.1], [0.95], [0.0]], np.float32)
    figures = evaluate_scores(scores, articles, [topic("aa")]).topics["aa"]
    assert (figures.articles, figures.positives, figures.matches) == (2, 1, 1)
    assert (figures.ap, figures.f1) == (1.0, 1.0)


def test_means_leave_out_topics_without_positives():
    articles = [labelled(["aa"]), labelled()]
    scores = np.array([[0.9, 0.9], [0.1, 0.9]], np.float32)
    result = evaluate_scores(scores, articles, [topic("aa"), topic("bb")])
    assert result.topics["bb"].ap is None
    means = {name: result.mean[name] for name in ("ap", "precision", "recall", "f1")}
    assert means == {"ap": 1.0, "precision": 0.5, "recall": 1.0, "f1": 1.0}
    assert json.loads(json.dumps(result.to_json()))["topics"]["bb"]["ap"] is None


def test_labelled_lines_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '\n{"title": "T", "summary": null, "topics": ["x"], "unsure": ["y"], "id": 1}\n{"title": "U"}\n'
    )
    first, second = read_labelled(path)
    assert first == LabelledArticle("T", "", frozenset({"x"}), frozenset({"y"}))
    assert second == LabelledArticle("U", "", frozenset(), frozenset())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        ("[]", "line 2: is not a JSON object"),
        ("{}", "line 2: `title` and `summary` must be text"),
        ('{"title": 3}', "line 2: `title` and `summary` must be text"),
        ('{"title": "aa", "topics": "x"}', "line 2: `topics` must be a list"),
        ('{"title": "aa", "unsure": [1]}', "line 2: `unsure` must be a list"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"title": "fine"}\n' + line + "\n")
    with pytest.raises(SettingsError, match=rf"labels\.jsonl, {message}"):
        read_labelled(path)


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(SettingsError, match=r"no\.jsonl: cannot be read"):
        read_labelled(tmp_path / "no.jsonl")
    empty, binary = tmp_path / "empty.jsonl", tmp_path / "binary.jsonl"
    empty.write_text("\n\n")
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"empty\.jsonl: holds no articles"):
        read_labelled(empty)
    with pytest.raises(SettingsError, match=r"binary\.jsonl: is not UTF-8"):
        read_labelled(binary)


def test_the_default_topics_hold_their_figures_on_dev(encoder, eval_folder):
    result = evaluate_file(eval_folder / "dev.jsonl", topics=default_topics(), encoder=encoder)
    assert result.articles == 516
    assert result.mean["ap"] >= 0.89
    assert result.mean["f1"] >= 0.80
    assert result.mean["precision"] >= 0.84
    assert min(figures.ap for figures in result.topics.values()) >= 0.75
    assert result.encoder_revision == encoder.revision
    assert set(result.heads.values()) == {"fitted-2"}


class Doubter:
    """Says no to everything, and counts."""

    name = "nli-12345678"

    def __init__(self):
        self.asked = 0

    def judge(self, pairs):
        self.asked += len(pairs)
        return np.zeros(len(pairs))


def test_a_second_opinion_is_asked_about_every_doubtful_score_and_named(heads):
    articles = [LabelledArticle("A", "", frozenset())] * 300
    scores = np.full((300, 10), 0.01, np.float32)
    scores[:, 3] = 0.6
    doubter = Doubter()
    refined = refine_scored(Scored(articles, heads, scores, "abc"), doubter)
    assert doubter.asked == 300
    assert (refined.scores[:, 3] < 0.5).all()
    np.testing.assert_array_equal(np.delete(refined.scores, 3, 1), np.delete(scores, 3, 1))
    assert set(refined.evaluate().heads.values()) == {"fitted-2+nli-12345678"}
