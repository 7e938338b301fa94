"""Fills a data folder with months of invented news, its stories, alerts and feeds, and publishes it."""

from datetime import timedelta

import numpy as np

from flows.spikes import make_alert
from models.topics import default_topics
from storage.alerts import DuckOutbox, store_alerts
from storage.articles import store_articles
from storage.database import Database
from storage.feeds import save_feeds, save_states
from storage.folder import history_path
from storage.publish import publish
from storage.scores import ScoreBlock, store_scores
from storage.spikes import store_spikes
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.types import Alert, Article, Delivery, Feed, FeedState, LeadingStory, Reason, Spike, StoryTie

OUTLETS = (
    "Meridian Wire", "Circuit Gazette", "Harbour Ledger", "Kestrel Post", "Pacific Dispatch", "Rhine Echo",
    "World Desk", "Policy Courier", "Signal Notes", "Northern Standard", "Delta Review", "Civic Monitor",
)  # fmt: skip
SHARES = (0.055, 0.04, 0.035, 0.03, 0.024, 0.02, 0.015, 0.012, 0.01, 0.006)
SUBJECTS = (
    "Ministry adds lithography parts to its export licence list",
    "Parliament agrees on duties for makers of general-purpose models",
    "Court halts transfer of health records to a cloud firm",
    "Lab publishes weights of its largest model under a research licence",
    "Regulator asks banks about exposure to chip makers",
    "Safety institute reports on tests of frontier models",
    "Two capitals trade accusations over research visas",
    "Agencies told to remove chat apps from official phones",
)


def invent_news(folder, *, now, days=100, a_day=60, titles=SUBJECTS, seed=3):
    """Invent news up to now in a data folder; give its database. The same arguments give the same news."""
    rng, topics = np.random.default_rng(seed), default_topics()
    database = Database(history_path(folder))
    articles, values, ties = [], [], []
    for day in range(days):
        at = now - timedelta(days=days - 1 - day)
        count = int(rng.poisson(a_day * (0.5 if at.weekday() >= 5 else 1.1)))
        wave = [1 + 0.5 * np.sin((day + 11 * n) / (9 + 2 * n)) for n in range(len(topics))]
        wave[2] *= 3 if 60 <= day < 66 else 1
        for number in range(count):
            article_id = 1 + len(articles)
            outlet = int(rng.integers(len(OUTLETS)) * rng.random())
            seen_at = at - timedelta(minutes=int(rng.integers(0, 60 * min(12, at.hour + 1))))
            title = f"{titles[article_id % len(titles)]}, report {article_id}"
            articles.append(
                Article(
                    article_id, f"https://news{outlet}.example/{article_id}", title, "", OUTLETS[outlet],
                    f"https://news{outlet}.example/rss", seen_at, seen_at, "en",
                )
            )  # fmt: skip
            values.append([0.9 if rng.random() < s * w else 0.1 for s, w in zip(SHARES, wave, strict=False)])
            begun = article_id if number % 5 == 0 or number == 0 else ties[-1].story_id
            ties.append(StoryTie(article_id, begun, None if begun == article_id else 0.9))
    block = ScoreBlock(
        [article.article_id for article in articles],
        [topic.name for topic in topics],
        [topic.version for topic in topics],
        "encoder",
        ["head"] * len(topics),
        np.array(values, np.float32)[:, : len(topics)],
    )
    with database.write() as con:
        record_topics(con, topics, run_id="run", now=now - timedelta(days=days))
        store_articles(con, "run", articles=articles, sightings=(), keys={})
        store_scores(con, block, now)
        store_ties(con, "run", ties)
        _store_feeds(con, now)
        _store_alerts(con, articles, topics, now)
    outbox = DuckOutbox(database)
    for alert in outbox.load_due(now)[1:]:
        outbox.record(Delivery(alert.alert_id, now, "delivered", message_ts=alert.alert_id))
    publish(database, now=now)
    return database


def _store_feeds(con, now):
    feeds = [Feed(f"https://news{n}.example/rss", name, name) for n, name in enumerate(OUTLETS)]
    save_feeds(con, feeds, now)
    save_states(
        con,
        [
            FeedState(
                feed.url, polled_at=now, succeeded_at=now - timedelta(days=n // 10 * 3), failures=n // 10 * 4,
                next_poll_at=now + timedelta(minutes=20), baseline_at=now - timedelta(days=99),
                last_new_at=now - timedelta(hours=n),
            )
            for n, feed in enumerate(feeds)
        ],
    )  # fmt: skip


def _store_alerts(con, articles, topics, now):
    told = [
        Alert(
            f"alert-{n}", article.article_id, "policy", article.title, article.url, article.outlet,
            article.published_at, article.first_seen_at, (Reason(topics[n % 4].name, 0.9, article.title),),
        )
        for n, article in enumerate(articles[-40::3])
    ]  # fmt: skip
    stories = tuple(LeadingStory(each.title, each.url, each.outlet, 2) for each in articles[-3:])
    spike = Spike(topics[0].name, 6, 14, 2.6, 6.2, 5, now - timedelta(hours=4), stories, ("licence", "parts"))
    spiking = [make_alert(spike, channel="policy", now=now - timedelta(hours=1))]
    store_spikes(con, "run", spiking)
    store_alerts(con, "run", [*told, *spiking])
