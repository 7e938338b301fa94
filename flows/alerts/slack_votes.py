"""Reads people's reactions to alerts back from Slack: who says yes, who says no, as it stands now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flows.alerts.slack import alert_ids_of, read_history
from flows.alerts.slack_api import Page, SlackApi
from tocsin.types import Ballot

# Bounds of one reading: pages of a channel's history (200 messages each), and questions for all reactions
# of one message in the whole reading. What is beyond them is left as it was read before.
MAX_PAGES = 5
MAX_QUESTIONS = 20


@dataclass(frozen=True, slots=True)
class VoteRules:
    """Which reactions mean yes (relevant) and which no, by Slack's names without colons."""

    relevant: frozenset[str]
    irrelevant: frozenset[str]

    def meaning_of(self, reaction: object) -> bool | None:
        """Tell yes from no; None for a reaction that says neither. A skin tone changes nothing."""
        name = str(reaction).partition("::")[0]
        return True if name in self.relevant else False if name in self.irrelevant else None


@dataclass
class BallotReader:
    """Reads ballots of channels within the bounds. One object per run."""

    api: SlackApi
    rules: VoteRules
    questions: int = field(default=MAX_QUESTIONS)

    def read(self, channel: str, oldest: datetime) -> Iterator[Ballot]:
        """Give a ballot for every alert of a channel since `oldest`, also where nobody voted (any more).

        A list of alerts is nobody's vote on any of them, and is left out.
        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        name = channel.removeprefix("#")
        for number, messages in enumerate(read_history(self.api, name, oldest), start=1):
            for message in messages:
                alert_ids = alert_ids_of(message)
                votes = self._votes(message, name) if len(alert_ids) == 1 else None
                if votes is not None:
                    yield Ballot(alert_ids[0], channel, votes)
            if number == MAX_PAGES:
                return

    def _votes(self, message: Page, name: str) -> tuple[tuple[str, bool], ...] | None:
        """Count a message's votes; None if Slack listed only some of them and may not be asked again."""
        if _is_cut_short(message, self.rules):
            if not self.questions:
                return None
            self.questions -= 1
            message = self._ask_all(message, name)
        return count_votes(message, self.rules)

    def _ask_all(self, message: Page, name: str) -> Page:
        answer = self.api.ask(
            "reactions.get",
            about=name,
            channel=self.api.find_id(name),
            timestamp=message.get("ts"),
            full=True,
        )
        full = answer.get("message")
        return full if isinstance(full, dict) else message


def count_votes(message: Mapping[str, object], rules: VoteRules) -> tuple[tuple[str, bool], ...]:
    """Give each person's vote, by the person's id; who says both yes and no says nothing."""
    said: dict[str, set[bool]] = defaultdict(set)
    for reaction in _reactions(message):
        meaning = rules.meaning_of(reaction.get("name"))
        if meaning is not None:
            for person in _people(reaction):
                said[person].add(meaning)
    return tuple(sorted((person, True in votes) for person, votes in said.items() if len(votes) == 1))


def _is_cut_short(message: Page, rules: VoteRules) -> bool:
    """Tell whether Slack named fewer people than it counted: it lists only the first of many."""
    return any(
        isinstance(count := reaction.get("count"), int) and count > len(_people(reaction))
        for reaction in _reactions(message)
        if rules.meaning_of(reaction.get("name")) is not None
    )


def _reactions(message: Mapping[str, object]) -> list[dict[str, object]]:
    found = message.get("reactions")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _people(reaction: Mapping[str, object]) -> list[str]:
    users = reaction.get("users")
    return [user for user in users if isinstance(user, str)] if isinstance(users, list) else []
