"""What decides whether an article rings: the rules, each with a sentence for people, and their record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

StopRule = Literal[
    "below_threshold",
    "baseline",
    "too_old",
    "topic_muted",
    "outlet_muted",
    "other_outlet",
    "other_language",
    "lacks_phrase",
    "never_phrase",
    "already_alerted",
    "story_told",
    "few_outlets",
    "low_tier",
    "below_budget",
    "budget_spent",
]
PassRule = Literal["rings", "rings_later"]
Rule = StopRule | PassRule

# In the order in which they are asked; the first that stops an article is its final rule.
RULES: dict[Rule, str] = {
    "below_threshold": "The score is close to the topic's threshold, but under it.",
    "baseline": "It came with the first poll of its feed, which rings nobody.",
    "too_old": "Its claimed date is older than what counts as news.",
    "topic_muted": "The topic is muted for now.",
    "outlet_muted": "Its outlet is muted.",
    "other_outlet": "Its outlet is none of those that the topic asks for.",
    "other_language": "Its language is none of those that the topic asks for.",
    "lacks_phrase": "It says none of the phrases that the topic asks for.",
    "never_phrase": "It says a phrase that the topic must never have.",
    "already_alerted": "The channel had an alert of this very article.",
    "story_told": "The channel was told of the story, and nothing about it is new enough.",
    "few_outlets": "The story waits until enough outlets have it.",
    "low_tier": "Only a low-tier outlet has the story; it waits for a second outlet.",
    "below_budget": "The score is under what the topic's daily budget asks for.",
    "budget_spent": "The topic had its alerts for the day, and this is not clearly stronger.",
    "rings": "It rings.",
    "rings_later": "It rings when the quiet hours end.",
}

# What these stopped is asked again when another outlet joins the story.
WAITING_RULES: frozenset[Rule] = frozenset({"few_outlets", "low_tier"})


@dataclass(frozen=True, slots=True)
class Decision:
    """Which rule decided on one close (article, topic) for a channel in one run, and the numbers it saw.

    `threshold` is the topic's own, `fitted` what its daily budget raises it to (None: no budget). `outlets`
    is how many had the story, without muted ones. `alert_id` names the alert that tells it, None if none
    does; `hold_until` when it may be sent, None for at once. `explanation` says it all in a sentence.
    """

    article_id: int
    topic: str
    topic_version: str
    channel: str
    story_id: int
    rule: Rule
    score: float
    threshold: float
    decided_at: datetime
    fitted: float | None = None
    outlets: int = 1
    hold_until: datetime | None = None
    alert_id: str | None = None
    explanation: str = ""

    @property
    def rings(self) -> bool:
        """Tell whether an alert came of it."""
        return self.rule in {"rings", "rings_later"}


@dataclass(frozen=True, slots=True)
class StoryScore:
    """A story's best score for a topic in the past, and the outlets that had it, in small letters."""

    topic: str
    story_id: int
    score: float
    outlets: frozenset[str]
