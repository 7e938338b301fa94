"""What a batch's new articles are about, and which of them ring."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from flows.alerts.decide import decide_alerts, select_matches
from flows.alerts.rules import Match, find_close, least_close, reaches_threshold, spread_channels
from flows.alerts.trail import record_decisions
from flows.crew import embed_apart
from flows.display import current_display
from flows.facts import load_waiting, make_rules, match_waiting
from flows.feeds.identity import Identified
from flows.feeds.language import detect_language
from flows.labels import telling_text
from flows.run import Batch, MonitorRun
from flows.stories import tie_stories
from models.explain import Match as Explained
from models.explain import explain_matches
from models.text import compose_text
from tocsin.types import Article, Reason, Score


def judge_articles(run: MonitorRun, batch: Batch, now: datetime) -> None:
    """Score the batch's new articles, tie them to stories, and decide which of them ring."""
    with run.report.timing("languages"):
        batch.identified = _with_languages(batch.identified)
    if run.options.full_text:
        with run.report.timing("full_text"):
            _read_full_texts(run, batch)
    with run.report.timing("score"):
        _score(run, batch)
    with run.report.timing("stories"):
        tie_stories(run, batch, now)
    with run.report.timing("decide"):
        _decide(run, batch, now)


def _with_languages(found: Identified) -> Identified:
    """Mark the new articles with their language; those that the encoder does not cover get no score."""
    marked = tuple(
        replace(article, language=detect_language(article.title, article.summary))
        for article in found.articles
    )
    return replace(found, articles=marked)


def _read_full_texts(run: MonitorRun, batch: Batch) -> None:
    """Put the text of their pages beside new articles; where there is none, the feed's text stands."""
    from flows.feeds import fulltext  # noqa: PLC0415  it is off by default, and what it needs is slow to load

    display = current_display()
    new = batch.identified.articles
    display.start_step("Reading articles", sum(article.url is not None for article in new))
    found = asyncio.run(
        fulltext.fetch_full_texts(
            new,
            clock=run.clock,
            options=fulltext.FullTextOptions(poll=run.options.poll),
            on_done=lambda _: display.advance_step("Reading articles"),
            paused=run.brakes,
        )
    )
    run.report.count_full_texts(found.values())
    texts = {key: outcome.text for key, outcome in found.items() if isinstance(outcome, fulltext.FullText)}
    articles_with_text = tuple(replace(each, full_text=texts.get(each.article_id)) for each in new)
    batch.identified = replace(batch.identified, articles=articles_with_text)


def _telling_text(article: Article) -> str:
    return telling_text(article.summary, article.full_text)


def _set_apart(run: MonitorRun, batch: Batch) -> None:
    """Part the new articles by language: what the encoder cannot read would be scored by noise."""
    encoder, _ = run.judge()
    new = batch.identified.articles
    batch.scored = tuple(article for article in new if encoder.covers(article.language))
    batch.unscored = tuple(article for article in new if not encoder.covers(article.language))
    run.report.count_scored(len(batch.scored), [article.language or "" for article in batch.unscored])


def _score(run: MonitorRun, batch: Batch) -> None:
    display = current_display()
    before = run.report.scored
    _set_apart(run, batch)
    display.start_step("Scoring articles", len(batch.scored))
    encoder, heads = run.judge()
    texts = [compose_text(article.title, _telling_text(article)) for article in batch.scored]
    batch.embeddings = embed_apart(
        run,
        encoder,
        texts,
        progress=lambda done, _: display.move_step("Scoring articles", before + done),
    )
    batch.scores = heads.score(batch.embeddings, texts)
    if run.refiner is not None:
        batch.scores, batch.refined = run.refiner.refine(batch.scores, texts)
        run.report.refined += len(batch.refined)


def _decide(run: MonitorRun, batch: Batch, now: datetime) -> None:
    close = find_close(batch.scored, _scores_that_count(run, batch), run.topics)
    run.report.count_matches([match.topic.name for match in close if reaches_threshold(match)])
    waiting = load_waiting(run, batch)
    close += match_waiting(run, waiting)
    rules = make_rules(run, batch, close, waiting, now=now)
    close = spread_channels(close, rules)
    ringing = select_matches(close, rules)
    batch.alerts = decide_alerts(ringing, _find_reasons(run, batch, ringing), rules)
    before = {(each.article.article_id, each.topic): each.rule for each in waiting}
    batch.decisions = record_decisions(close, batch.alerts, rules, before=before)
    run.report.told_before += sum(each.rule == "story_told" for each in batch.decisions)
    run.report.alerts.decided += len(batch.alerts)


def _scores_that_count(run: MonitorRun, batch: Batch) -> Iterator[Score]:
    """Give only the scores that are close to their topic's threshold: most of a batch's never count."""
    assert batch.scores is not None  # noqa: S101  scored before
    encoder, heads = run.judge()
    # In double precision, as the database compares them later.
    least = np.array([least_close(topic) for topic in run.topics], np.float64)
    for row, column in np.argwhere(batch.scores.astype(np.float64) >= least).tolist():
        topic = run.topics[column]
        yield Score(
            article_id=batch.scored[row].article_id,
            topic=topic.name,
            topic_version=topic.version,
            encoder_revision=encoder.revision,
            head=batch.refined.get((row, column), heads.names[column]),
            score=float(batch.scores[row, column]),
        )


def _find_reasons(run: MonitorRun, batch: Batch, matches: Sequence[Match]) -> dict[tuple[int, str], Reason]:
    encoder, heads = run.judge()
    matches = list({match.key: match for match in matches}.values())  # one reason serves all channels
    explained = [
        Explained(match.article.title, _telling_text(match.article), match.topic.name, match.score)
        for match in matches
    ]
    reasons = explain_matches(encoder, heads, explained)
    refined = {
        (batch.scored[row].article_id, run.topics[column].name): head
        for (row, column), head in batch.refined.items()
    }
    keys = [(match.article.article_id, match.topic.name) for match in matches]
    return {
        key: replace(reason, head=refined.get(key, reason.head))
        for key, reason in zip(keys, reasons, strict=True)
    }
