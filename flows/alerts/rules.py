"""What keeps one match from ringing: the rules, and the facts that they ask for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

from flows.alerts.quiet import QuietHours
from flows.alerts.tiers import OutletTiers, Standing, fold_outlet
from tocsin.decisions import StopRule
from tocsin.phrases import find_phrase
from tocsin.types import Article, Score, Told, Topic

# A jump in coverage takes at least so many outlets more, whatever the factor: from one to two is no news.
LEAST_JUMP = 3

# How far between a bar and 1 a score must be to be clearly above the bar.
CLEARLY = 0.5

# How far under its threshold, as a share of it, a score is still close enough to be explained later.
CLOSE = 0.2

_NOT_TOLD = Told(frozenset())


@dataclass(frozen=True, slots=True)
class Match:
    """An article whose score for a topic reached the topic's threshold (or is close to it, where said).

    `channel` is the one that it is for, without `#`; None: the topic's only or first one.
    """

    article: Article
    topic: Topic
    score: float
    channel: str | None = None

    @property
    def key(self) -> tuple[int, str]:
        """Article id and topic name: a batch has one match of each for every channel of the topic."""
        return self.article.article_id, self.topic.name


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """What a person chose for all topics.

    `max_age` None: no article is too old. `zone` is where days begin and end for budgets. `hold_warnings`:
    an operator's warnings wait for the end of quiet hours too.
    """

    max_age: timedelta | None = timedelta(days=7)
    tiers: OutletTiers = field(default_factory=OutletTiers)
    quiet: QuietHours | None = None
    zone: tzinfo = UTC
    hold_warnings: bool = True

    def quiet_until(self, now: datetime) -> datetime | None:
        """Return when the quiet time that holds `now` ends; None if it is not quiet."""
        return None if self.quiet is None else self.quiet.until(now)


@dataclass(frozen=True, slots=True)
class AlertRules:
    """What decides whether a match rings.

    `quiet_feeds` are URLs of feeds whose first poll this is. `already_alerted` holds pairs of article id and
    channel as `channel_of` spells it. `max_age` is measured by the claimed date; None sets no limit.
    `stories` maps article ids to story ids (absent: a story of its own), `told` story and channel to what was
    decided before, `outlets` story ids to the number of outlets that have it now, muted ones aside, and
    `standings` to the best tier among these. `coverage_jump` is how many times as many outlets as told make a
    story ring once more; None: never. `fitted` are the thresholds that daily budgets ask for, by topic;
    `told_today` the scores with which a topic rang on this day. `hold_until`: it is quiet until then.
    """

    now: datetime
    default_channel: str
    quiet_feeds: frozenset[str] = frozenset()
    already_alerted: AbstractSet[tuple[int, str]] = frozenset()
    max_age: timedelta | None = None
    stories: Mapping[int, int] = field(default_factory=dict)
    told: Mapping[tuple[int, str], Told] = field(default_factory=dict)
    outlets: Mapping[int, int] = field(default_factory=dict)
    standings: Mapping[int, Standing] = field(default_factory=dict)
    tiers: OutletTiers = field(default_factory=OutletTiers)
    coverage_jump: float | None = None
    fitted: Mapping[str, float] = field(default_factory=dict)
    told_today: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    hold_until: datetime | None = None

    def story_of(self, article: Article) -> int:
        """Return the id of an article's story."""
        return self.stories.get(article.article_id, article.article_id)

    def told_of(self, match: Match) -> Told:
        """Return what the match's channel was told of its story."""
        return self.told.get((self.story_of(match.article), self.channel_of(match)), _NOT_TOLD)

    def channels_of(self, topic: Topic) -> tuple[str, ...]:
        """Return the channels that hear of a topic, without `#`, so that two spellings are one channel."""
        return topic.alert_channels or (self.default_channel.removeprefix("#"),)

    def channel_of(self, match: Match) -> str:
        """Return the channel that a match is for, without `#`."""
        return match.channel or self.channels_of(match.topic)[0]

    def outlets_of(self, article: Article) -> int:
        """Return how many outlets have an article's story."""
        return self.outlets.get(self.story_of(article), 1)

    def standing_of(self, article: Article) -> Standing:
        """Return the best tier among the outlets that have an article's story."""
        return self.standings.get(self.story_of(article)) or self.tiers.standing([article.outlet])

    def bar_of(self, topic: Topic) -> float:
        """Return the lowest score that may ring: the topic's threshold, or what its budget raises it to."""
        return max(topic.effective_threshold, self.fitted.get(topic.name, 0.0))


def find_matches(
    articles: Iterable[Article], scores: Iterable[Score], topics: Iterable[Topic]
) -> list[Match]:
    """Find every score at or above its topic's threshold, by article id, then highest score first.

    A score of an unknown article, of another version of the topic, or not a number, matches nothing. Of
    several scores for one article and topic the highest counts.
    """
    return [match for match in find_close(articles, scores, topics) if reaches_threshold(match)]


def find_close(articles: Iterable[Article], scores: Iterable[Score], topics: Iterable[Topic]) -> list[Match]:
    """Find what `find_matches` does, and what is close to it besides (see `least_close`)."""
    by_id = {article.article_id: article for article in articles}
    by_name = {(topic.name, topic.version): topic for topic in topics}
    best: dict[tuple[int, str], Match] = {}
    for score in scores:
        article, topic = by_id.get(score.article_id), by_name.get((score.topic, score.topic_version))
        if article is None or topic is None or not score.score >= least_close(topic):
            continue
        match = Match(article, topic, score.score)
        rival = best.get(match.key)
        if rival is None or score.score > rival.score:
            best[match.key] = match
    return sorted(best.values(), key=lambda match: (match.article.article_id, -match.score, match.topic.name))


def spread_channels(matches: Iterable[Match], rules: AlertRules) -> list[Match]:
    """Make a match for every channel that hears of its topic."""
    return [
        replace(match, channel=channel) for match in matches for channel in rules.channels_of(match.topic)
    ]


def said_text(article: Article) -> str:
    """Return all that an article says, in which phrases are looked for."""
    return f"{article.title}\n{article.summary}\n{article.full_text or ''}"


def least_close(topic: Topic) -> float:
    """Return the lowest score that is explained: a fifth of the threshold under it."""
    return topic.effective_threshold * (1 - CLOSE)


def reaches_threshold(match: Match) -> bool:
    """Tell whether a close score is a match."""
    return match.score >= match.topic.effective_threshold


def is_clear(score: float, bar: float) -> bool:
    """Tell whether a score is clearly above a bar: at least half way from it to 1."""
    return score >= bar + CLEARLY * (1 - bar)


def stopped_by(
    match: Match, rules: AlertRules, *, among: Iterable[StopRule] | None = None
) -> StopRule | None:
    """Name the first rule that keeps a match from ringing whatever else rings; None if there is none.

    `among` are those that `may_stop` named; None: all.
    """
    for rule in _STOPS if among is None else among:
        if _STOPS[rule](match, rules):
            return rule
    return None


def may_stop(topic: Topic, rules: AlertRules) -> tuple[StopRule, ...]:
    """Name the rules that can keep a match of a topic from ringing, in the order in which they are asked.

    What `rules` say of single articles and stories does not count, so it holds for all of a topic's matches.
    """
    never: dict[StopRule, bool] = {
        "baseline": not rules.quiet_feeds,
        "too_old": rules.max_age is None,
        "topic_muted": topic.mute_until is None,
        "outlet_muted": not rules.tiers.muted,
        "other_outlet": not topic.outlets,
        "other_language": not topic.languages,
        "lacks_phrase": not topic.must,
        "never_phrase": not topic.never,
        "already_alerted": not rules.already_alerted,
        "story_told": not rules.told,
        "low_tier": not rules.tiers.low,
        "below_budget": rules.bar_of(topic) <= topic.effective_threshold,
    }
    return tuple(rule for rule in _STOPS if not never.get(rule, False))


def _is_too_old(match: Match, rules: AlertRules) -> bool:
    published_at = match.article.published_at
    return rules.max_age is not None and published_at is not None and rules.now - published_at > rules.max_age


def _is_topic_muted(match: Match, rules: AlertRules) -> bool:
    return match.topic.mute_until is not None and rules.now < match.topic.mute_until


def _is_other_outlet(match: Match, _: AlertRules) -> bool:
    asked = match.topic.outlets
    return bool(asked) and fold_outlet(match.article.outlet) not in map(fold_outlet, asked)


def _is_other_language(match: Match, _: AlertRules) -> bool:
    """Tell whether an article is in another language; one that cannot be told keeps nothing from ringing."""
    language, asked = match.article.language, match.topic.languages
    return bool(asked) and language is not None and language not in asked


def _lacks_phrase(match: Match, _: AlertRules) -> bool:
    must = match.topic.must
    return bool(must) and find_phrase(must, said_text(match.article)) is None


def _has_never_phrase(match: Match, _: AlertRules) -> bool:
    return find_phrase(match.topic.never, said_text(match.article)) is not None


def _is_alerted(match: Match, rules: AlertRules) -> bool:
    return (match.article.article_id, rules.channel_of(match)) in rules.already_alerted


def _is_told(match: Match, rules: AlertRules) -> bool:
    """Tell whether a channel knows the story, and the topic too or not clearly enough to ring again.

    Another outlet's wording often lifts a topic just over its threshold, which is no news.
    """
    told = rules.told_of(match)
    if not told.topics or _has_jumped(match, rules):
        return False
    return match.topic.name in told.topics or not is_clear(match.score, match.topic.effective_threshold)


def _has_jumped(match: Match, rules: AlertRules) -> bool:
    """Tell whether far more outlets have a told story than its channel knows; it rings once for that."""
    told = rules.told_of(match)
    if rules.coverage_jump is None or told.for_coverage:
        return False
    now = rules.outlets_of(match.article)
    return now >= max(rules.coverage_jump * told.outlets, told.outlets + LEAST_JUMP)


def _has_few_outlets(match: Match, rules: AlertRules) -> bool:
    return lacks_outlets(match.topic, rules.outlets_of(match.article), rules.standing_of(match.article))


def _is_low_tier(match: Match, rules: AlertRules) -> bool:
    standing, outlets = rules.standing_of(match.article), rules.outlets_of(match.article)
    return needs_second(standing, outlets, match.score, rules.bar_of(match.topic))


def lacks_outlets(topic: Topic, outlets: int, standing: Standing) -> bool:
    """Tell whether a topic waits for more outlets; one of the first tier is enough."""
    return standing != "first" and outlets < topic.min_outlets


def needs_second(standing: Standing, outlets: int, score: float, bar: float) -> bool:
    """Tell whether a story that one low-tier outlet has must wait for another: its score is not clear."""
    return standing == "low" and outlets < 2 and not is_clear(score, bar)


_STOPS: dict[StopRule, Callable[[Match, AlertRules], bool]] = {
    "below_threshold": lambda match, _: not reaches_threshold(match),
    "baseline": lambda match, rules: match.article.feed_url in rules.quiet_feeds,
    "too_old": _is_too_old,
    "topic_muted": _is_topic_muted,
    "outlet_muted": lambda match, rules: rules.tiers.is_muted(match.article.outlet),
    "other_outlet": _is_other_outlet,
    "other_language": _is_other_language,
    "lacks_phrase": _lacks_phrase,
    "never_phrase": _has_never_phrase,
    "already_alerted": _is_alerted,
    "story_told": _is_told,
    "few_outlets": _has_few_outlets,
    "low_tier": _is_low_tier,
    "below_budget": lambda match, rules: match.score < rules.bar_of(match.topic),
}
