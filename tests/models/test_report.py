"""The report: worst errors, curves, and two runs compared pair by pair."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.compare import compare_runs, read_old_run
from models.evaluate import LabelledArticle, Scored
from models.heads import Heads
from models.mistakes import explain_mistakes, find_mistakes
from models.report import measure_intervals, trace_curves, write_comparison, write_report, write_scores
from models.topics import default_topics
from tocsin.errors import SettingsError
from tocsin.types import Topic


class FixedHead:
    def __init__(self, topics):
        self.topics = topics
        self.names = ("fixed-1",) * len(topics)


def scored(labels, scores, *, sha="abc", threshold=0.5) -> Scored:
    """Topics aa, bb, … scored by hand. A label is a string of topics such as "aa ?bb" (? for unsure)."""
    scores = np.array(scores, np.float32)
    topics = tuple(
        Topic(name=name * 2, description="A topic for a test.", threshold=threshold)
        for name in "abc"[: scores.shape[1]]
    )
    articles = [
        LabelledArticle(
            f"Headline {number}",
            "",
            frozenset(word for word in label.split() if word[0] != "?"),
            frozenset(word[1:] for word in label.split() if word[0] == "?"),
        )
        for number, label in enumerate(labels)
    ]
    return Scored(articles, Heads(topics, (FixedHead(topics),), 384, "enc-1"), scores, sha)


def found(mistakes):
    return [(each.topic, each.kind, each.row) for each in mistakes]


# ---------------------------------------------------------------- errors


def test_the_worst_errors_come_first_and_are_as_many_as_asked():
    run = scored(["", "aa", "", "aa", "aa"], [[0.6], [0.4], [0.9], [0.1], [0.8]])
    assert found(find_mistakes(run, most=5)) == [
        ("aa", "false_alarm", 2),
        ("aa", "false_alarm", 0),
        ("aa", "miss", 3),
        ("aa", "miss", 1),
    ]
    assert found(find_mistakes(run, most=1)) == [("aa", "false_alarm", 2), ("aa", "miss", 3)]
    assert find_mistakes(run, most=0) == []


def test_an_unsure_article_is_no_error():
    assert find_mistakes(scored(["?aa", "?aa aa"], [[0.9], [0.1]]), most=5) == []


def test_every_error_says_what_spoke_for_the_topic(encoder, heads):
    article = LabelledArticle(
        "Council meets", "Lunch was served. Exports of AI chips to China need licences.", frozenset()
    )
    columns = [topic.name for topic in default_topics()]
    scores = np.where(np.array(columns) == "export_controls", 0.9, 0.1).astype(np.float32)[None]
    run = Scored([article], heads, scores, "abc")
    (mistake,) = explain_mistakes(encoder, run, find_mistakes(run, most=5))
    assert (mistake.topic, mistake.kind) == ("export_controls", "false_alarm")
    assert mistake.reason.sentence == "Exports of AI chips to China need licences."


# ---------------------------------------------------------------- the report


def test_the_report_is_json_with_an_interval_around_each_figure():
    run = scored(["aa", "", "aa", ""] * 10, [[0.9], [0.2], [0.7], [0.6]] * 10)
    report = json.loads(
        json.dumps(write_report(run.evaluate(), measure_intervals(run), find_mistakes(run, most=1)))
    )
    figures = report["topics"]["aa"]
    for name in ("ap", "precision", "recall", "f1", "brier", "ece"):
        low, high = figures["intervals"][name]
        assert low <= figures[name] + 1e-6
        assert figures[name] <= high + 1e-6
    assert report["data_sha256"] == "abc"
    assert report["heads"] == {"aa": "fixed-1"}
    assert report["errors"][0]["title"] == "Headline 3"
    assert report["mean_intervals"]["f1"] == figures["intervals"]["f1"]


def test_calibration_error_of_a_case_computed_by_hand():
    # Bin 0.8-0.9: mean score 0.85 against 1/2; bin 0.1-0.2: 0.15 against 0. (2 x 0.35 + 2 x 0.15) / 4
    run = scored(["aa", "", "", ""], [[0.85], [0.85], [0.15], [0.15]])
    figures = run.evaluate().topics["aa"]
    assert figures.ece == pytest.approx(0.25)
    assert figures.brier == pytest.approx((0.15**2 + 0.85**2 + 2 * 0.15**2) / 4)


def test_a_curve_ends_at_full_recall_and_marks_the_threshold():
    (curve,) = trace_curves(scored(["aa", "", "aa", "?aa"], [[0.9], [0.8], [0.4], [1.0]]))
    assert curve.recall.tolist() == [0.5, 0.5, 1.0]
    assert curve.precision.tolist() == pytest.approx([1.0, 0.5, 2 / 3])
    assert curve.at_threshold == (0.5, 0.5)


def test_a_topic_without_positives_has_no_curve():
    assert trace_curves(scored([""], [[0.9]])) == []


# ---------------------------------------------------------------- two runs


def saved(tmp_path, run, **changes):
    report = write_report(run.evaluate(), measure_intervals(run), [])
    report["scores"] = write_scores(run)
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**report, **changes}))
    return path


LABELS = ["aa", "", "aa bb", "?aa", ""] * 8
OLD = np.tile(np.array([[0.9, 0.1], [0.6, 0.2], [0.4, 0.9], [0.2, 0.1], [0.1, 0.3]], np.float32), (8, 1))
NEW = np.tile(np.array([[0.9, 0.1], [0.3, 0.2], [0.7, 0.9], [0.8, 0.1], [0.1, 0.3]], np.float32), (8, 1))


def test_two_runs_are_compared_article_by_article(tmp_path):
    now = scored(LABELS, NEW)
    result = compare_runs(read_old_run(saved(tmp_path, scored(LABELS, OLD)), now), now)
    f1 = result.topics["aa"]["f1"]
    assert (f1.before, f1.now, f1.is_clear) == (0.5, 1.0, True)
    assert 0 < f1.interval[0] < 0.5 < f1.interval[1]
    same = result.topics["bb"]["f1"]
    assert (same.before, same.now, same.interval, same.is_clear) == (1.0, 1.0, (0.0, 0.0), False)
    assert result.mean["f1"].now == 1.0
    assert json.loads(json.dumps(write_comparison(result)))["mean"]["f1"]["is_clear"] is True


def test_changed_verdicts_are_listed_largest_move_first(tmp_path):
    now = scored(LABELS, NEW)
    changes = compare_runs(read_old_run(saved(tmp_path, scored(LABELS, OLD)), now), now).changes
    assert [(each.row, each.is_match, each.is_right) for each in changes[::8]] == [
        (3, True, None),
        (1, False, True),
        (2, True, True),
    ]
    assert len(changes) == 24


def test_the_same_scores_show_no_difference(tmp_path):
    now = scored(LABELS, NEW)
    result = compare_runs(read_old_run(saved(tmp_path, now), now), now)
    assert result.changes == []
    assert not [each for by_name in result.topics.values() for each in by_name.values() if each.is_clear]


def test_an_old_threshold_is_kept_for_the_old_run(tmp_path):
    old, now = scored(LABELS, OLD, threshold=0.3), scored(LABELS, OLD)
    result = compare_runs(read_old_run(saved(tmp_path, old), now), now)
    assert result.topics["aa"]["recall"].before == 1.0
    assert result.topics["aa"]["recall"].now == 0.5


def test_scores_are_read_back_bit_by_bit(tmp_path):
    scores = np.random.default_rng(0).random((40, 2), dtype=np.float32)
    run = scored(LABELS, scores)
    assert np.array_equal(read_old_run(saved(tmp_path, run), run).scores, scores)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": None}, "not a report with scores"),
        ({"data_sha256": "other"}, "another file of articles"),
        ({"scores": {"cc": []}}, "none of the topics"),
        ({"scores": {"aa": [0.5], "bb": [0.5]}}, "one score for each article"),
        ({"scores": {"aa": "x", "bb": "y"}}, "report that can be compared"),
        ({"topics": {}}, "report that can be compared"),
    ],
)
def test_a_report_that_cannot_be_compared_is_named(tmp_path, changes, message):
    run = scored(LABELS, OLD)
    with pytest.raises(SettingsError, match=message):
        read_old_run(saved(tmp_path, run, **changes), run)


def test_a_file_that_is_no_report_is_named(tmp_path):
    run = scored(LABELS, OLD)
    with pytest.raises(SettingsError, match=r"none\.json: cannot be read"):
        read_old_run(tmp_path / "none.json", run)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(SettingsError, match=r"broken\.json: is not a report"):
        read_old_run(broken, run)
