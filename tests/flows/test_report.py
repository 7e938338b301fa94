import json

import pytest

from flows.report import FeedFailure, RunReport


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
