"""A topic: what a person wants to watch, checked, described for a form, and named by a hash."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
)

from tocsin.form import explain_fields
from tocsin.phrases import fold_phrase

Sensitivity = Literal["fewer", "balanced", "more"]

# What each sensitivity asks of a score, where a topic names no threshold of its own.
THRESHOLDS: dict[Sensitivity, float] = {"fewer": 0.8, "balanced": 0.5, "more": 0.3}

# Fields that came after versions were first recorded.
_LATER = frozenset(
    {"daily_budget", "min_outlets", "mute_until", "must", "never", "channels", "outlets", "languages"}
)

# Where a form refuses a value it repeats the pattern and nothing else, so the patterns say what is wanted, in
# words that stand for nothing: a group no times (a named group would be lost, `<…>` is a tag to the form).
_NAME = r"^(small letters, digits, underscores){0}[a-z][a-z0-9_]{1,39}$"
_CHANNEL = r"^(name or id of a channel, or webhook:NAME){0}(#?|webhook:)[\w.-]{1,80}$"
_LANGUAGE = r"^(two small letters){0}[a-z]{2}$"

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=1000)]


def _require_word(phrase: str) -> str:
    if not fold_phrase(phrase):
        raise ValueError("it has no letter or digit to look for: write the words that articles say")
    return phrase


SaidPhrase = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=2, max_length=100),
    AfterValidator(_require_word),
]


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


class Topic(BaseModel):
    """What a person wants to watch; Prefect renders it as a form."""

    # Built when first needed: that takes longer than polling thirty unchanged feeds.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, json_schema_extra=explain_fields)

    # No part of the definition: what a run gives to topics that say nothing themselves.
    _leaning: Sensitivity = PrivateAttr("balanced")

    name: Annotated[
        str,
        Field(
            title="Name",
            description="Short and stable: small letters, digits and underscores, at most 40.",
            pattern=_NAME,
            examples=["export_controls"],
        ),
    ]
    description: Annotated[
        str,
        StringConstraints(strip_whitespace=True),
        Field(
            title="Description",
            description="What the topic is about, in one to four sentences, as told to a new colleague.",
            min_length=10,
            max_length=2000,
            examples=["Damage to, building of and rules for undersea telecommunication cables."],
        ),
    ]
    examples: Annotated[
        tuple[Phrase, ...],
        Field(
            title="Examples",
            description="Headlines that belong to the topic, at most 100. Three or four help most.",
            max_length=100,
            examples=[["Baltic states investigate second cut cable in a month"]],
        ),
    ] = ()
    counter_examples: Annotated[
        tuple[Phrase, ...],
        Field(
            title="Counter-examples",
            description="Headlines that look alike but do not belong to it, at most 100.",
            max_length=100,
            examples=[["Cable television operator raises prices"]],
        ),
    ] = ()
    threshold: Annotated[
        float | None,
        Field(
            title="Threshold",
            description="The lowest score that counts, from 0 to 1. Empty: taken from the sensitivity.",
            ge=0.0,
            le=1.0,
            examples=[0.6],
        ),
    ] = None
    sensitivity: Annotated[
        Sensitivity,
        Field(
            title="Sensitivity",
            description="How readily the topic rings, where no threshold is given: fewer (0.8), balanced "
            "(0.5, or what the run says) or more (0.3).",
            examples=["fewer"],
        ),
    ] = "balanced"
    channel: Annotated[
        str | None,
        Field(
            title="Slack channel",
            description="Name or id of the channel to alert, or webhook:NAME. Empty: the default channel.",
            pattern=_CHANNEL,
            examples=["#export-controls"],
        ),
    ] = None
    daily_budget: Annotated[
        int | None,
        Field(
            title="Alerts a day",
            description="About so many alerts a day, 1 to 1000: the threshold is raised to what would have "
            "given that many over the last 30 days. Empty: no budget.",
            ge=1,
            le=1000,
            examples=[5],
        ),
    ] = None
    min_outlets: Annotated[
        int,
        Field(
            title="Outlets needed",
            description="A story waits until so many outlets have it (1 to 50), or one of the first tier.",
            ge=1,
            le=50,
            examples=[2],
        ),
    ] = 1
    mute_until: Annotated[
        AwareDatetime | None,
        AfterValidator(_in_utc),
        Field(
            title="Muted until",
            description="Nothing rings for the topic before this time (say its zone). Empty: not muted.",
            examples=["2026-12-01T08:00:00+01:00"],
        ),
    ] = None

    must: Annotated[
        tuple[SaidPhrase, ...],
        Field(
            title="Must say one of",
            description="Only articles that say one of these phrases ring: whole words in headline, summary "
            "or text, in any case, with or without accents. Empty: no such rule.",
            max_length=50,
            examples=[["Baltic Sea", "Taiwan Strait"]],
        ),
    ] = ()
    never: Annotated[
        tuple[SaidPhrase, ...],
        Field(
            title="Must never say",
            description="An article that says one of these phrases does not ring.",
            max_length=50,
            examples=[["sponsored content", "horoscope"]],
        ),
    ] = ()
    channels: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=_CHANNEL)], ...],
        Field(
            title="More Slack channels",
            description="Further channels to alert, beside the one above; each is told of a story once.",
            max_length=10,
            examples=[["#export-controls", "#desk-asia"]],
        ),
    ] = ()
    outlets: Annotated[
        tuple[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)], ...],
        Field(
            title="Only these outlets",
            description="Only articles of these outlets ring, by their names in alerts, in any case. "
            "Empty: all outlets.",
            max_length=200,
            examples=[["Meridian Wire", "Harbour Ledger"]],
        ),
    ] = ()
    languages: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=_LANGUAGE)], ...],
        Field(
            title="Only these languages",
            description="Only articles in these languages (two small letters, ISO 639-1) ring, and those "
            "whose language cannot be told. Empty: all languages.",
            max_length=20,
            examples=[["en", "de"]],
        ),
    ] = ()

    @property
    def effective_threshold(self) -> float:
        """The lowest score that counts as a match."""
        if self.threshold is not None:
            return self.threshold
        if self.sensitivity != "balanced":
            return THRESHOLDS[self.sensitivity]
        # Asked for every score in a preview; pydantic's way to a private attribute takes ten times as long.
        return THRESHOLDS[(self.__pydantic_private__ or {}).get("_leaning", "balanced")]

    def leaning(self, sensitivity: Sensitivity) -> Topic:
        """Return the same topic and version that takes this sensitivity if it says nothing itself.

        A topic says something with a threshold, or a sensitivity other than balanced.
        """
        leaning = self.model_copy()
        leaning._leaning = sensitivity  # noqa: SLF001  of its own kind
        return leaning

    @property
    def has_phrases(self) -> bool:
        """Whether its rules ask for phrases in an article's text."""
        return bool(self.must or self.never)

    @property
    def alert_channels(self) -> tuple[str, ...]:
        """The channels that it names, without `#`, each once; empty: the default channel is meant."""
        named = (*([self.channel] if self.channel else []), *self.channels)
        return tuple(dict.fromkeys(name.removeprefix("#") for name in named))

    @property
    def version(self) -> str:
        """Hash of the whole definition, 12 hexadecimal digits; any edit makes a new version.

        A field that was added later counts only where it is used, so that older topics keep their version.
        """
        unused = {name for name in _LATER if getattr(self, name) == type(self).model_fields[name].default}
        stated = self.model_dump(mode="json", exclude=unused)
        canonical = json.dumps(stated, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]
