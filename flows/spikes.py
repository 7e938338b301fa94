"""The step that watches for spikes: gathers facts, decides, and puts what is found into the outbox."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flows.alerts.spikes import RULES, WINDOWS, FoundSpike, Volume, find_spikes, lead_stories, may_spike
from flows.alerts.terms import find_terms
from flows.alerts.words import spike_title
from flows.run import MonitorRun
from flows.warn import OUTLET, stand_in
from storage import alerts, spikes
from storage.spikes import MatchedArticle, SpikeQuestion
from tocsin.types import Alert, LeadingStory, Spike, Topic

log = logging.getLogger(__name__)

STORIES_TOLD = 3

Matched = Mapping[str, Sequence[MatchedArticle]]


def watch_spikes(run: MonitorRun) -> None:
    """Decide whether a topic spikes, and put that into the outbox; only a run that scored something looks."""
    rule = RULES.get(run.options.spikes) if run.options.spikes != "off" else None
    if rule is None or not run.report.scored:
        return
    now = run.clock()
    watched = {topic.name: topic for topic in run.topics if not _is_muted(topic, now)}
    asked = SpikeQuestion(
        now, list(watched), sorted(run.options.policy.tiers.muted), max_age=run.options.policy.max_age
    )
    with run.report.timing("spikes"):
        with run.db.read() as con:
            matched = _by_topic(spikes.load_matched(con, asked))
            counts = count_by_outlet(matched, now)
            topics = sorted({topic for (topic, _), counted in counts.items() if may_spike(counted, rule)})
            if not topics:  # most runs: what is usual need not be counted
                return
            volumes = [Volume(*row) for row in spikes.load_volumes(con, replace(asked, topics=topics))]
            told = spikes.last_told(con)
        found = find_spikes(volumes, counts, rule, told=told, now=now)
        if found:
            _tell(run, found, matched, asked, watched)


def count_by_outlet(matched: Matched, now: datetime) -> dict[tuple[str, int], list[int]]:
    """Count by topic and window the newest matches of each outlet."""
    return {
        (topic, hours): list(Counter(each.outlet.lower() for each in within(articles, hours, now)).values())
        for topic, articles in matched.items()
        for hours in WINDOWS
    }


def within(articles: Sequence[MatchedArticle], hours: int, now: datetime) -> list[MatchedArticle]:
    """Keep the articles of the last hours."""
    return [each for each in articles if now - each.first_seen_at < timedelta(hours=hours)]


def _tell(
    run: MonitorRun,
    found: Sequence[FoundSpike],
    matched: Matched,
    asked: SpikeQuestion,
    watched: Mapping[str, Topic],
) -> None:
    with run.db.read() as con:
        earlier = spikes.load_earlier(con, asked)
    described = [
        describe_spike(each, within(matched[each.topic], each.hours, asked.now), earlier[each.topic])
        for each in found
    ]
    made = [
        make_alert(
            spike,
            channel=(watched[spike.topic].channel or run.options.channel).removeprefix("#"),
            now=asked.now,
            hold_until=run.options.policy.quiet_until(asked.now),
        )
        for spike in described
    ]

    def store(con: Any) -> int:
        spikes.store_spikes(con, run.run_id, made)
        return alerts.store_alerts(con, run.run_id, made)

    run.report.spikes += run.db.change(store)
    for spike in described:
        log.info(
            "spike.found topic=%s hours=%d matches=%d usual=%.1f z=%.1f",
            *(spike.topic, spike.hours, spike.matches, spike.usual, spike.z_score),
        )


def describe_spike(
    found: FoundSpike, articles: Sequence[MatchedArticle], earlier: Sequence[tuple[str, str]]
) -> Spike:
    """Say what stands behind a spike; `articles` are its window's matches, oldest first and at least one."""
    told_by = defaultdict[int, list[str]](list)
    first: dict[int, MatchedArticle] = {}
    for each in articles:
        told_by[each.story_id].append(each.outlet.lower())
        first.setdefault(each.story_id, each)
    return Spike(
        topic=found.topic,
        hours=found.hours,
        matches=found.matches,
        usual=found.usual,
        z_score=found.z_score,
        outlets=len({each.outlet.lower() for each in articles}),
        began_at=articles[0].first_seen_at,
        stories=tuple(
            LeadingStory(first[story].title, first[story].url, first[story].outlet, len(set(told_by[story])))
            for story in lead_stories(told_by, most=STORIES_TOLD)
        ),
        terms=find_terms([(each.outlet, each.title) for each in articles], earlier),
    )


def make_alert(spike: Spike, *, channel: str, now: datetime, hold_until: datetime | None = None) -> Alert:
    """Make the alert of a spike; the same topic, channel and begin give the same id."""
    key = f"spike {spike.topic} {channel} {spike.began_at.isoformat()}"
    alert_id = hashlib.sha256(key.encode()).hexdigest()[:24]
    return Alert(
        alert_id=alert_id,
        article_id=stand_in(alert_id),
        channel=channel,
        title=spike_title(spike),
        url=None,
        outlet=OUTLET,
        published_at=now,
        decided_at=now,
        reasons=(),
        cause="spike",
        outlets=spike.outlets,
        hold_until=hold_until,
        spike=spike,
    )


def _is_muted(topic: Topic, now: datetime) -> bool:
    return topic.mute_until is not None and now < topic.mute_until


def _by_topic(articles: Sequence[MatchedArticle]) -> dict[str, list[MatchedArticle]]:
    found = defaultdict[str, list[MatchedArticle]](list)
    for each in articles:
        found[each.topic].append(each)
    return dict(found)
