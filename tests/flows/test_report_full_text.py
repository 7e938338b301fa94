"""What a run's report says of article pages."""

from datetime import UTC, datetime

from flows.feeds.fulltext import FullText
from flows.report import RunReport
from tocsin.types import Exchange, FetchFailed

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EXCHANGE = Exchange("http://a.example/", "http://a.example/", fetched_at=NOW, seconds=0.1)


def failed(reason):
    return FetchFailed(EXCHANGE, "soft", reason, "Page was not fetched")


def test_full_texts_and_their_failures_are_counted_over_all_batches():
    report = RunReport(run_id="run", database="history.duckdb")
    report.count_full_texts([FullText(EXCHANGE, "Text."), failed("no_text")])
    report.count_full_texts([failed("no_text"), failed("http_404"), FullText(EXCHANGE, "Text.")])
    assert report.full_texts == 2
    assert report.full_text_failures == {"no_text": 2, "http_404": 1}
    assert "| Full texts / failed | 2 / 3 |" in report.to_markdown()


def test_a_run_that_read_no_pages_does_not_speak_of_them():
    assert "Full texts" not in RunReport(run_id="run", database="history.duckdb").to_markdown()
