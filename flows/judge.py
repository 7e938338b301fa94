"""The step that judges a batch: which articles are new, what they are about, and which of them ring."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from flows.alerts.decide import AlertRules, Match, decide_alerts, find_matches, select_matches, stopped_by
from flows.display import current_display
from flows.feeds.identity import Identified, Identities
from flows.feeds.language import detect_language
from flows.labels import telling_text
from flows.run import Batch, MonitorRun
from flows.stories import count_outlets, tie_stories
from models.explain import Match as Explained
from models.explain import explain_matches
from models.text import compose_text
from storage import alerts, articles, stories
from tocsin.types import Article, Reason, Score

# A claimed date older than this is not news, whatever feed it turns up in.
MAX_AGE = timedelta(days=7)


def judge_batch(run: MonitorRun, batch: Batch) -> None:
    """Tell new articles from those seen, score them, and decide which of them ring."""
    now = run.clock()
    identify_batch(run, batch, now=now)
    if not batch.identified.articles:
        return
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
    batch.embeddings = encoder.embed(
        texts,
        progress=lambda done, _: display.move_step("Scoring articles", before + done),
    )
    batch.scores = heads.score(batch.embeddings, texts)
    if run.refiner is not None:
        batch.scores, batch.refined = run.refiner.refine(batch.scores, texts)
        run.report.refined += len(batch.refined)


def _decide(run: MonitorRun, batch: Batch, now: datetime) -> None:
    matches = find_matches(batch.scored, _scores_that_count(run, batch), run.topics)
    run.report.count_matches([match.topic.name for match in matches])
    rules = _make_rules(run, batch, matches, now)
    ringing = select_matches(matches, rules)
    run.report.told_before += sum(stopped_by(match, rules) == "story_told" for match in matches)
    batch.alerts = decide_alerts(ringing, _find_reasons(run, batch, ringing), rules)
    run.report.alerts.decided += len(batch.alerts)


def _make_rules(run: MonitorRun, batch: Batch, matches: Sequence[Match], now: datetime) -> AlertRules:
    ids = sorted({match.article.article_id for match in matches})
    placed = {tie.article_id: tie.story_id for tie in batch.ties}
    about = sorted({placed[article_id] for article_id in ids})
    with run.db.read() as con:
        alerted = alerts.alerted_pairs(con, ids)
        told = alerts.load_told(con, about)
        known = stories.load_outlets(con, about)
    return AlertRules(
        now=now,
        default_channel=run.options.channel,
        quiet_feeds=_first_polls(batch) if run.options.baseline else frozenset(),
        already_alerted=alerted,
        max_age=MAX_AGE,
        stories=placed,
        told=told,
        outlets=count_outlets(batch, known),
        coverage_jump=run.options.coverage_jump,
    )


def _scores_that_count(run: MonitorRun, batch: Batch) -> Iterator[Score]:
    """Give only the scores at or above their topic's threshold: most of a batch's never count."""
    assert batch.scores is not None  # noqa: S101  scored before
    encoder, heads = run.judge()
    # In double precision, as the database compares them later.
    thresholds = np.array([topic.effective_threshold for topic in run.topics], np.float64)
    for row, column in np.argwhere(batch.scores.astype(np.float64) >= thresholds).tolist():
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


def _first_polls(batch: Batch) -> frozenset[str]:
    return frozenset(state.url for _, state in batch.requests if state.baseline_at is None)
