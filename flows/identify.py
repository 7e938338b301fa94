"""The step that judges a batch, as far as most batches need it: which of their articles are new."""

from __future__ import annotations

from datetime import datetime

from flows.feeds.identity import Identified, Identities
from flows.run import Batch, MonitorRun
from storage import articles


def judge_batch(run: MonitorRun, batch: Batch) -> None:
    """Tell new articles from those seen, score them, and decide which of them ring."""
    now = run.clock()
    identify_batch(run, batch, now=now)
    if batch.identified.articles:
        from flows.judge import judge_articles  # noqa: PLC0415  most polls bring nothing new; models load slowly

        judge_articles(run, batch, now)


def identify_batch(run: MonitorRun, batch: Batch, *, now: datetime) -> None:
    """Tell the batch's new articles from those seen before."""
    with run.report.timing("identify"):
        identities = Identities(batch.polled)
        batch.identified = _tie(run, identities, now)
    run.report.new_articles += len(batch.identified.articles)


def _tie(run: MonitorRun, identities: Identities, now: datetime) -> Identified:
    if not identities.keys:  # nothing changed: the commonest poll, not worth opening the file for
        return identities.tie({}, now=now)
    with run.db.read() as con:
        known = articles.find_known(con, identities.keys)
        doubtful = identities.doubtful_articles(known)
        headlines = articles.load_headlines(con, doubtful) if doubtful else {}
    return identities.tie(known, now=now, headlines=headlines)
