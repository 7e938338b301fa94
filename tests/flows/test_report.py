import io
import json

import pytest
from rich.console import Console

from flows.report import FeedFailure, RunReport
from tocsin.cli.screen import print_report


@pytest.fixture
def report():
    return RunReport(run_id="run-1", database="data/tocsin.duckdb")


@pytest.mark.parametrize(
    ("fetched", "not_modified", "failed", "errors", "succeeded"),
    [
        (0, 0, 0, [], True),
        (1, 0, 3, [], True),
        (0, 1, 3, [], True),
        (0, 0, 3, [], False),
        (3, 0, 0, ["Slack does not answer"], False),
    ],
    ids=["nothing due", "some fetched", "some not modified", "all failed", "an alert is stuck"],
)
def test_a_run_succeeded_if_nothing_needs_a_person(report, fetched, not_modified, failed, errors, succeeded):
    report.fetched, report.not_modified, report.failed = fetched, not_modified, failed
    report.delivery_errors = errors
    assert report.succeeded is succeeded


def test_matches_add_up_over_batches_most_first(report):
    report.count_matches(["a", "b"])
    report.count_matches(["b", "b", "c"])
    assert list(report.matches.items()) == [("b", 3), ("a", 1), ("c", 1)]


def test_articles_that_cannot_be_read_add_up_by_language(report):
    assert "Not scored" not in report.to_markdown()
    report.count_scored(3, ["zh", "de"])
    report.count_scored(2, ["zh"])
    assert (report.scored, report.unscored) == (5, {"zh": 2, "de": 1})
    assert "| Not scored: language not covered | 3 (2 zh, 1 de) |" in report.to_markdown()


def test_the_screen_says_how_many_articles_are_not_scored_and_why(report):
    screen = Console(file=io.StringIO(), width=140)
    report.count_scored(1, ["zh", "de"])
    print_report(report, screen)
    assert "2 (1 zh, 1 de): the encoder does not cover their language" in screen.file.getvalue()


def test_time_of_a_step_adds_up_over_batches(report):
    for _ in range(3):
        with report.timing("poll"):
            pass
    assert set(report.seconds) == {"poll"}
    assert report.seconds["poll"] >= 0


def test_the_report_is_plain_json(report):
    report.failures.append(FeedFailure("https://a.example/f", "soft", "html", "message", None))
    assert json.loads(json.dumps(report.to_dict()))["failures"][0]["reason"] == "html"


def test_no_text_of_a_feed_breaks_out_of_its_table_cell(report):
    report.failures.append(FeedFailure("https://a.example/f", "soft", "html", "a | b\n<script>", None))
    (line,) = [line for line in report.to_markdown().splitlines() if "a.example" in line]
    assert line == "| `https://a.example/f` | a \\| b &lt;script> |"
