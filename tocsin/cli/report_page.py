"""Makes the report page (pure): tables for every reader, the same numbers as JSON for the charts, escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from flows.alerts.safe_text import clean_text, cut_text, read_link
from flows.alerts.words import topic_in_words

if TYPE_CHECKING:
    from storage.report import ReportFacts

_TITLE_LIMIT = 240
_SHOWN_AT_FIRST = 5  # topics: as many as there are colours
_NONE = "\N{EN DASH}"
_HEALTH = {
    "ok": "ok",
    "new": "not polled yet",
    "failing": "failing",
    "never worked": "never worked",
    "gone": "gone",
}
_CAUSES = {"story": "story", "topic": "further topic", "coverage": "far more outlets", "spike": "spike"}


def make_page(facts: ReportFacts, *, title: str, now: datetime) -> str:
    """Make the page: one text that loads nothing. What strangers wrote is text in it, never markup."""
    style, script = _read("page.css"), _read("page.js")
    totals = facts.totals
    return Template(_read("page.html")).substitute(
        title=text(title),
        policy=escape(_policy(style, script)),
        style=style,
        script=script,
        data=_json(_data(facts)),
        since=facts.since.isoformat(),
        until=facts.until.isoformat(),
        made=f"{now:%Y-%m-%d %H:%M}",
        figures=_figures(totals),
        chooser=_chooser(facts),
        **_readouts(facts),
        trend_table=_trend_table(facts),
        week_table=_count_table(facts.weeks, "week", "Week from Monday", facts.topics),
        outlet_table=_count_table(facts.outlets, "outlet", "Outlet", facts.topics),
        stories=_stories(facts.stories),
        feeds=_feeds(facts.feeds),
        alerts=_alerts(facts.alerts),
        alerts_note=_note(len(facts.alerts), int(totals["alerts"])),
    )


def text(value: object, limit: int = _TITLE_LIMIT) -> str:
    """Make one escaped line of anything: no markup, no control or direction signs, not endless."""
    return escape(cut_text(clean_text(str(value)), limit))


def link(title: object, url: str | None) -> str:
    """Make a link where the address is one that may be followed, else plain text.

    The host is said behind it, since a headline may name another.
    """
    shown = text(title) or "(no headline)"
    found = read_link(url)
    if found is None:
        return f"<span dir='auto'>{shown}</span>"
    return (
        f'<a dir="auto" rel="noreferrer noopener" href="{escape(found[0])}">{shown}</a> '
        f"<small>{escape(found[1])}</small>"
    )


def _read(name: str) -> str:
    return files("tocsin.cli").joinpath("page", name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Let the page run its own script and style only, and load nothing: a browser holds it to that."""
    own = f"style-src {_hash(style)}; script-src {_hash(script)}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _json(value: object) -> str:
    """Write JSON that cannot end its script element, nor be read as anything but data."""
    written = json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=_plain)
    return written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(value: object) -> str:
    assert isinstance(value, date)  # noqa: S101  facts hold nothing else
    return value.isoformat()


def _data(facts: ReportFacts) -> dict[str, Any]:
    return {
        "since": facts.since,
        "until": facts.until,
        "topics": [{"name": topic, "label": topic_in_words(topic)} for topic in facts.topics],
        "days": [
            {
                "d": day.day,
                "t": day.topic,
                "m": day.matches,
                "a": day.articles,
                "s": _rounded(day.share),
                "c": _rounded(day.corrected_share_7d),
                "z": _rounded(day.z_score, 2),
            }
            for day in facts.days
        ],
        "weeks": list(facts.weeks),
        "outlets": [{**row, "outlet": cut_text(clean_text(row["outlet"]), 60)} for row in facts.outlets],
    }


def _rounded(value: float | None, digits: int = 5) -> float | None:
    return None if value is None else round(value, digits)


def _figures(totals: Mapping[str, Any]) -> str:
    named = {
        "articles": "articles",
        "matches": "matches",
        "stories": "stories with a match",
        "alerts": "alerts",
        "feeds": "feeds",
        "feeds_not_ok": "feeds that need a look",
    }
    return "".join(
        f"<div><dt>{words}</dt><dd>{int(totals[name]):,}</dd></div>" for name, words in named.items()
    )


def _loudest(facts: ReportFacts) -> list[str]:
    """Choose the topics that are shown at first: those with most matches, in their order."""
    totals: Counter[str] = Counter()
    for row in facts.weeks:
        totals[row["topic"]] += row["matches"]
    foremost = {topic for topic, _ in totals.most_common(_SHOWN_AT_FIRST)}
    return [topic for topic in facts.topics if topic in foremost]


def _chooser(facts: ReportFacts) -> str:
    shown = _loudest(facts)
    return "".join(
        f'<label><input type="checkbox" value="{escape(topic)}"{" checked" if topic in shown else ""}>'
        f"{_swatch(number)}{text(topic_in_words(topic))}</label>"
        for number, topic in enumerate(facts.topics)
    )


def _swatch(number: int) -> str:
    look = f"l s{number % 5} dash{number // 5 % 3}"
    return (
        '<svg class="swatch" viewBox="0 0 26 12" aria-hidden="true">'
        f'<path d="M0 6H26" class="{look}"></path></svg>'
    )


def _readouts(facts: ReportFacts) -> dict[str, str]:
    """Say what each chart says at first, so that nothing moves when the script takes over."""
    last_day = max((day.day for day in facts.days), default=None)
    last_week = max((row["week"] for row in facts.weeks), default=None)
    first_outlet = facts.outlets[0]["outlet"] if facts.outlets else None
    shares = {day.topic: day.corrected_share_7d for day in facts.days if day.day == last_day}
    weekly = {row["topic"]: row["matches"] for row in facts.weeks if row["week"] == last_week}
    outlet = {row["topic"]: row for row in facts.outlets if row["outlet"] == first_outlet}
    said = {
        topic: _NONE if (share := shares.get(topic)) is None else f"{share:.2%}" for topic in facts.topics
    }
    counts = {topic: str(weekly.get(topic, 0)) for topic in facts.topics}
    parts = {
        topic: f"{row['matches']} of {row['articles']} ({row['matches'] / row['articles']:.2%})"
        for topic, row in outlet.items()
    }
    return {
        "trend_readout": _readout(facts, last_day, said),
        "week_readout": _readout(facts, last_week and f"Week from {last_week}", counts),
        "outlet_readout": _readout(facts, first_outlet, parts),
    }


def _readout(facts: ReportFacts, name: object, values: Mapping[str, str]) -> str:
    if name is None:
        return ""
    items = "".join(
        f"<span>{_swatch(number)}{text(topic_in_words(topic))} {values.get(topic, '0')}</span>"
        for number, topic in enumerate(facts.topics)
        if topic in _loudest(facts)
    )
    return f'<b dir="auto">{text(name, 60)}</b>{items}'


def _trend_table(facts: ReportFacts) -> str:
    shares = {(day.day, day.topic): (day.corrected_share_7d, day.matches) for day in facts.days}
    rows = [
        [
            _cell(day.isoformat(), head=True),
            *(_share_cell(shares.get((day, topic))) for topic in facts.topics),
        ]
        for day in sorted({day.day for day in facts.days}, reverse=True)
    ]
    return _table(
        ["Day", *map(topic_in_words, facts.topics)], rows, "Corrected share, 7 days (matches of the day)"
    )


def _share_cell(found: tuple[float | None, int] | None) -> str:
    if found is None:
        return f"<td class='n'>{_NONE}</td>"
    share, matches = found
    return f"<td class='n'>{_NONE if share is None else f'{share:.2%}'} ({matches})</td>"


def _count_table(rows: Sequence[Mapping[str, Any]], key: str, heading: str, topics: Sequence[str]) -> str:
    caption = f"Matches by {key} and topic"
    found: dict[Any, dict[str, tuple[int, int]]] = defaultdict(dict)
    for row in rows:
        found[row[key]][row["topic"]] = row["matches"], row["articles"]
    body = []
    for name, counts in found.items():
        cells = [f"<td class='n'>{counts.get(topic, (0, 0))[0]:,}</td>" for topic in topics]
        articles = max(articles for _, articles in counts.values())
        body.append([_cell(text(name, 60), head=True), *cells, f"<td class='n'>{articles:,}</td>"])
    return _table([heading, *map(topic_in_words, topics), "Articles"], body, caption)


def _stories(stories: Iterable[Mapping[str, Any]]) -> str:
    return _table(
        ["Story", "Topic", "First outlet", "Outlets", "Matches", "Since"],
        [
            [
                _cell(link(story["title"], story["url"]), head=True),
                f"<td>{text(topic_in_words(story['topic']))}</td>",
                f"<td dir='auto'>{text(story['outlet'], 80)}</td>",
                f"<td class='n'>{story['outlets']:,}</td>",
                f"<td class='n'>{story['matches']:,}</td>",
                f"<td class='t'>{story['day']}</td>",
            ]
            for story in stories
        ],
        "Foremost stories of each topic",
        row_topics=[story["topic"] for story in stories],
    )


def _feeds(feeds: Iterable[Mapping[str, Any]]) -> str:
    return _table(
        ["Feed", "Health", "Failed polls", "Last worked (UTC)", "Last new entry (UTC)", "What it said"],
        [
            [
                _cell(text(feed["feed"], 80), head=True),
                _health(feed["health"]),
                f"<td class='n'>{feed['failures']:,}</td>",
                f"<td class='t'>{_time(feed['succeeded_at'])}</td>",
                f"<td class='t'>{_time(feed['last_new_at'])}</td>",
                f"<td dir='auto'>{text(feed['last_message'] or '')}</td>",
            ]
            for feed in feeds
        ],
        "Feeds, those that need a look first",
    )


def _health(health: str) -> str:
    kind = "ok" if health == "ok" else "bad"
    return f"<td class='t'><span class='health {kind}'>{text(_HEALTH.get(health, health))}</span></td>"


def _alerts(alerts: Iterable[Mapping[str, Any]]) -> str:
    return _table(
        ["Alert", "Decided (UTC)", "Channel", "Topic", "Why", "State"],
        [
            [
                _cell(link(alert["title"], alert["url"]), head=True),
                f"<td class='t'>{_time(alert['decided_at'])}</td>",
                f"<td dir='auto'>{text(alert['channel'], 80)}</td>",
                f"<td>{text(topic_in_words(alert['topic'])) if alert['topic'] else 'operator'}</td>",
                f"<td>{_CAUSES.get(alert['cause'], '') if alert['topic'] else 'warning'}</td>",
                f"<td>{text(alert['state'])}</td>",
            ]
            for alert in alerts
        ],
        "Alerts, newest first",
    )


def _note(shown: int, all_of_them: int) -> str:
    return f"The newest {shown:,} of {all_of_them:,}." if shown < all_of_them else f"All {shown:,}."


def _time(value: datetime | None) -> str:
    return _NONE if value is None else f"{value:%Y-%m-%d %H:%M}"


def _cell(content: str, *, head: bool = False) -> str:
    return f'<th scope="row">{content}</th>' if head else f"<td>{content}</td>"


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str, row_topics: Sequence[str] = ()
) -> str:
    if not rows:
        return "<p>Nothing on these days.</p>"
    kind = "scroll long" if row_topics else "scroll"
    marks = [f' data-topic="{escape(topic)}"' for topic in row_topics] or [""] * len(rows)
    body = "".join(f"<tr{mark}>{''.join(row)}</tr>" for mark, row in zip(marks, rows, strict=True))
    named = "".join(f'<th scope="col">{text(head, 80)}</th>' for head in heads)
    return (
        f'<div class="{kind}" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption><thead><tr>{named}</tr></thead><tbody>{body}</tbody></table></div>"
    )
