"""Counts what spikes find and what they raise falsely: on an invented calm stream, and on real dated news.

    python tests/bench/bench_spikes.py [--months 12] [--articles scored.npz]

The calm stream: 60 feeds with hours and weekdays of their own, 10 topics from a match a week to 40 a day,
days that are louder than others, and stories that several articles tell. Bursts are put into it at random
times. `--articles` names an npz of a real stream: `hours` and `feeds` (numbers) of each article, and
`matches` (articles by topics, bool). Topics are looked at every hour.
"""

import argparse
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np

from flows.alerts.spikes import RULES, WINDOWS, Volume, find_spikes

START = datetime(2024, 1, 1, tzinfo=UTC)
FEEDS, DAYS_BACK, REFERENCE = 60, 57, 28
A_DAY = (0.15, 0.5, 1, 2, 4, 6, 10, 15, 25, 40)  # usual matches of the invented topics
SIZES = (6, 10, 15, 20, 30, 50)
TRIALS = 100


class Stream:
    """Hourly counts by feed: articles (feeds by hours) and matches (feeds by topics by hours), summed up."""

    def __init__(self, articles, matches):
        self.hours = articles.shape[1]
        self.articles = np.concatenate([np.zeros((len(articles), 1), int), articles.cumsum(1)], 1)
        self.matches = np.concatenate([np.zeros((*matches.shape[:2], 1), int), matches.cumsum(2)], 2)

    def volumes(self, at, extra=None):
        """Give the volumes at the end of an hour, and by topic and window the matches of each feed.

        `extra` by window: matches to add (feeds by topics) to the newest window, articles with them.
        """
        ends = at - 24 * np.arange(DAYS_BACK)
        ends = ends[ends >= 24]
        day = [counts[..., ends] - counts[..., ends - 24] for counts in (self.articles, self.matches)]
        if extra is not None:
            day[0][:, 0] += extra[24].sum(1)
            day[1][:, :, 0] += extra[24]
        known = slice(1, REFERENCE + 1)
        seen = day[0][:, known].sum(1)
        overall = day[1].sum((0, 2)) / max(1, day[0].sum())
        share = (day[1][:, :, known].sum(2) + 5 * overall) / (seen[:, None] + 5)
        share[seen == 0] = 0
        found, feeds = [], {}
        for hours in WINDOWS:
            articles = self.articles[:, ends] - self.articles[:, ends - hours]
            matches = (self.matches[..., ends] - self.matches[..., ends - hours]) * (seen > 0)[:, None, None]
            if extra is not None:
                articles[:, 0] += extra[hours].sum(1)
                matches[:, :, 0] += extra[hours]
            expected = share.T @ articles
            counts = matches.sum(0)
            for topic in np.flatnonzero(counts[:, 0] >= 5):  # fewer are no spike of any sensitivity
                found += [
                    Volume(str(topic), hours, n, int(counts[topic, n]), float(expected[topic, n]))
                    for n in range(len(ends))
                ]
                feeds[str(topic), hours] = [int(count) for count in matches[:, topic, 0] if count]
        return found, feeds


def invent_calm(months, rng):
    """Invent a stream without a burst: so many months after the eight weeks that are looked back on."""
    hours = 24 * (DAYS_BACK + 30 * months)
    clock = np.arange(hours)
    daily = 1 + 0.8 * np.sin((clock % 24 - 8) / 24 * 2 * np.pi)
    weekly = np.where(clock // 24 % 7 >= 5, 0.45, 1.2)
    size = rng.lognormal(0, 1, FEEDS)
    articles = rng.poisson(np.outer(size / size.sum() * 1500 / 24, daily * weekly))
    bent = rng.dirichlet(size * 0.5, len(A_DAY)).T  # feeds differ in what they carry
    matches = np.zeros((FEEDS, len(A_DAY), hours), int)
    for topic, a_day in enumerate(A_DAY):
        mood = np.repeat(rng.lognormal(-0.03, 0.25, hours // 24 + 1), 24)[:hours]
        stories = rng.poisson(a_day / 1.6 / 24 * daily * weekly * mood)
        for hour in np.repeat(clock, stories):
            for _ in range(1 + rng.poisson(0.6)):  # other outlets follow within hours
                later = min(hours - 1, hour + int(rng.exponential(4)))
                matches[rng.choice(FEEDS, p=bent[:, topic]), topic, later] += 1
    return Stream(articles + matches.sum(1), matches)


def count_alarms(stream, *, first=24 * DAYS_BACK, every=1):
    """Count alarms by sensitivity and topic, with the cooldown of each."""
    told = {name: {} for name in RULES}
    alarms = {name: [] for name in RULES}
    for at in range(first, stream.hours, every):
        volumes, feeds = stream.volumes(at)
        now = START + timedelta(hours=at)
        for name, rule in RULES.items():
            for found in find_spikes(volumes, feeds, rule, told=told[name], now=now):
                told[name][found.topic] = now
                alarms[name].append((at, found))
    return alarms


def find_burst(stream, topic, size, rng):
    """Put a burst of `size` articles over 6 hours into six feeds; give hours to its alarm by sensitivity."""
    start = int(rng.integers(24 * DAYS_BACK, stream.hours - 25))
    at = rng.integers(0, 6, size)
    feeds = rng.choice(rng.choice(FEEDS, 6, replace=False), size)
    delays = {}
    for passed in range(1, 25):
        extra = {}
        for hours in WINDOWS:
            inside = (at < passed) & (at >= passed - hours)
            extra[hours] = np.zeros((FEEDS, len(A_DAY)), int)
            np.add.at(extra[hours], (feeds[inside], topic), 1)
        volumes, seen = stream.volumes(start + passed, extra)
        mine = [volume for volume in volumes if volume.topic == str(topic)]
        for name, rule in RULES.items():
            if name not in delays and find_spikes(mine, seen, rule, told={}, now=START):
                delays[name] = passed
        if len(delays) == len(RULES):
            break
    return delays


def report_bursts(stream, rng):
    print("| usual matches a day | burst (6 h) | " + " | ".join(RULES) + " |")
    for topics in ((1, 2), (4, 5), (7, 8)):
        for size in SIZES:
            trials = [find_burst(stream, int(rng.choice(topics)), size, rng) for _ in range(TRIALS)]
            cells = []
            for name in RULES:
                delays = [trial[name] for trial in trials if name in trial]
                middle = f", {np.median(delays):.0f} h" if delays else ""
                cells.append(f"{len(delays) / TRIALS:.0%}{middle}")
            usual = " and ".join(f"{A_DAY[topic]:g}" for topic in topics)
            print(f"| {usual} | {size} | " + " | ".join(cells) + " |")


def load_real(path):
    """Make a stream of real articles: hour and feed of each, and the topics that it matched."""
    with np.load(path) as given:
        hours, feeds, matches = given["hours"].astype(int), given["feeds"], given["matches"]
    shape = feeds.max() + 1, hours.max() + 1
    articles = np.zeros(shape, int)
    np.add.at(articles, (feeds, hours), 1)
    counts = np.zeros((shape[0], matches.shape[1], shape[1]), int)
    for topic in range(matches.shape[1]):
        np.add.at(counts[:, topic], (feeds[matches[:, topic]], hours[matches[:, topic]]), 1)
    return Stream(articles, counts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--articles")
    parser.add_argument("--every", type=int, default=1, help="hours between two looks")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    stream = load_real(asked.articles) if asked.articles else invent_calm(asked.months, rng)
    months = (stream.hours / 24 - DAYS_BACK) / 30
    for name, alarms in count_alarms(stream, every=asked.every).items():
        by_topic = Counter(found.topic for _, found in alarms)
        rate = len(alarms) / months
        print(f"{name}: {len(alarms)} alarms in {months:.1f} months, {rate:.2f} a month, {by_topic}")
        if asked.articles:
            for at, found in alarms:
                counts = f"{found.matches} beside {found.usual:.1f}, z {found.z_score:.1f}"
                print(f"  hour {at}: topic {found.topic}, {found.hours} h, {counts}")
    if not asked.articles:
        report_bursts(stream, rng)


if __name__ == "__main__":
    main()
