"""Wording that every outlet shares: topics, scores and ages as a person would say them."""

from __future__ import annotations

from datetime import datetime, timedelta

from flows.alerts.safe_text import clean_text, cut_text
from tocsin.types import Alert, AlertCause, LeadingStory, Reason, Spike

TITLE_LIMIT = 300
OUTLET_LIMIT = 80
TOPIC_LIMIT = 60
SENTENCE_LIMIT = 600
SENTENCES_SHOWN = 2
OUTLETS_SHOWN = 3
_AGAIN: dict[AlertCause, str] = {
    "story": "",
    "topic": "told before, now on a further topic",
    "coverage": "told before, now in far more outlets",
    "spike": "",
}

_SPELT = {
    "ai": "AI",
    "agi": "AGI",
    "china": "China",
    "eu": "EU",
    "gpu": "GPU",
    "uk": "UK",
    "un": "UN",
    "us": "US",
}
_LIKELIHOODS = ((0.95, "almost certain"), (0.8, "very likely"), (0.55, "likely"), (0.3, "possible"))
# Clocks differ and feeds round: a date this far ahead is still "now".
_CLOCK_SKEW = timedelta(hours=1)


def topic_in_words(name: str) -> str:
    """Spell a topic's name for people: `export_controls` is "Export controls"."""
    words = [_SPELT.get(word, word) for word in clean_text(name.replace("_", " ")).split()]
    spelt = " ".join(words)
    return cut_text(spelt[:1].upper() + spelt[1:], TOPIC_LIMIT) or "Unnamed topic"


def score_in_words(score: float) -> str:
    """Say a score as a likelihood with its number: "very likely (0.93)"."""
    likelihood = next((words for least, words in _LIKELIHOODS if score >= least), "uncertain")
    return f"{likelihood} ({score:.2f})"


def age_in_words(published_at: datetime | None, now: datetime) -> str:
    """Say how long ago an article was dated: "3 h ago", "date unknown", or the date if it is far off."""
    if published_at is None:
        return "date unknown"
    minutes = int((now - published_at) / timedelta(minutes=1))
    if now - published_at < -_CLOCK_SKEW:
        return f"dated ahead: {published_at:%Y-%m-%d}"
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    days = minutes // (24 * 60)
    return f"{days} days ago" if days <= 60 else f"on {published_at:%Y-%m-%d}"


def title_of(alert: Alert) -> str:
    """Return the headline as one safe line, never empty."""
    return cut_text(clean_text(alert.title), TITLE_LIMIT) or "(no headline)"


def origin_of(alert: Alert, host: str | None, now: datetime) -> str:
    """Return "outlet · host · age"; the host tells where the link really leads."""
    outlet = cut_text(clean_text(alert.outlet), OUTLET_LIMIT)
    names = [outlet] if outlet else []
    if host and outlet.lower() not in {host, host.removeprefix("www.")}:
        names.append(cut_text(host, OUTLET_LIMIT))
    return " · ".join([*(names or ["unknown outlet"]), age_in_words(alert.published_at, now)])


def spike_title(spike: Spike) -> str:
    """Say a spike in a line: "Export controls: 14 articles in 6 hours, about 3 are usual"."""
    usual = (
        "hardly any is"
        if spike.usual < 0.5
        else f"about {spike.usual:.0f} {'is' if spike.usual < 1.5 else 'are'}"
    )
    return f"{topic_in_words(spike.topic)}: {spike.matches} articles in {spike.hours} hours, {usual} usual"


def spike_figures(spike: Spike) -> str:
    """Say the numbers behind a spike: times the usual, outlets, and how unusual that is."""
    times = (
        f"{spike.matches / spike.usual:.1f} times the usual" if spike.usual >= 0.5 else "usually hardly any"
    )
    return (
        f"{times} of this hour and weekday (8 weeks, corrected for coverage) · {spike.outlets} outlets · "
        f"z {spike.z_score:.1f}"
    )


def spike_terms(spike: Spike) -> str:
    """Say which terms stand out; empty if none does."""
    return f"Stands out: {', '.join(map(clean_text, spike.terms))}" if spike.terms else ""


def story_outlets(story: LeadingStory) -> str:
    """Say who leads a story: "Meridian Wire, 5 outlets"."""
    name = cut_text(clean_text(story.outlet), OUTLET_LIMIT) or "unknown outlet"
    return name if story.outlets < 2 else f"{name}, {story.outlets} outlets"


def story_title(story: LeadingStory) -> str:
    """Return a leading story's headline as one safe line, never empty."""
    return cut_text(clean_text(story.title), TITLE_LIMIT) or "(no headline)"


def also_in_words(alert: Alert) -> str:
    """Say which other outlets have the story: "also in A, B, C and 4 more, 8 outlets"; empty if none has."""
    names = [cut_text(clean_text(outlet), OUTLET_LIMIT) for outlet in alert.also_in]
    shown, hidden = names[:OUTLETS_SHOWN], len(names) - OUTLETS_SHOWN
    if not shown:
        return ""
    if hidden > 0:
        return f"also in {', '.join(shown)} and {hidden} more, {len(names) + 1} outlets"
    return "also in " + " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)


def again_in_words(alert: Alert) -> str:
    """Say why a story that was told is told again; empty for a story that was not."""
    return _AGAIN[alert.cause]


def sentences_of(alert: Alert) -> list[str]:
    """Return the distinct sentences that made the alert match, best first, less the headline itself."""
    sentences = dict.fromkeys(_sentence(reason) for reason in alert.reasons)
    return [sentence for sentence in sentences if sentence not in {"", title_of(alert)}][:SENTENCES_SHOWN]


def _sentence(reason: Reason) -> str:
    return cut_text(clean_text(reason.sentence), SENTENCE_LIMIT)
