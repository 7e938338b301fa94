"""What settings and history say of topics, alerts and the encoder, for those who neither poll nor send."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from flows.alerts.quiet import QuietHours
from flows.alerts.rules import AlertPolicy
from flows.alerts.tiers import OutletTiers, fold_outlet
from models.topics import default_topics, load_topics
from storage.database import Database
from storage.folder import history_path
from storage.topics import newest_topics
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import SettingsError
from tocsin.settings import Settings
from tocsin.types import Topic

if TYPE_CHECKING:
    from models.encode import Encoder


def alert_policy(settings: Settings, *, max_age_days: int | None = None, quiet: bool = True) -> AlertPolicy:
    """Read what decides for all topics. `quiet` False: no hours are quiet.

    `max_age_days` goes before what the settings say.
    """
    days = settings.max_age_days if max_age_days is None else max_age_days
    zone = UTC if settings.time_zone == "UTC" else ZoneInfo(settings.time_zone)
    is_quiet_ever = (settings.quiet_hours or settings.quiet_weekends) and quiet
    return AlertPolicy(
        max_age=timedelta(days=days) if days else None,
        tiers=OutletTiers(
            first=frozenset(map(fold_outlet, settings.first_tier_outlets)),
            low=frozenset(map(fold_outlet, settings.low_tier_outlets)),
            muted=frozenset(map(fold_outlet, settings.muted_outlets)),
        ),
        quiet=QuietHours(zone, settings.quiet_hours, settings.quiet_weekends) if is_quiet_ever else None,
        zone=zone,
        hold_warnings=settings.hold_warnings,
    )


def topics_in_use(settings: Settings) -> tuple[Topic, ...]:
    """Give the topics of a run that is given none: those of the settings, recorded last, or default."""
    if settings.topics is not None:
        return tuple(load_topics(settings.topics))
    path = history_path(settings.data)
    if path.exists():
        with Database(path).read() as con:
            return newest_topics(con) or default_topics()
    return default_topics()


def open_chosen_encoder(
    chosen: str | None, languages: tuple[str, ...] = (), setup: EncoderSetup | None = None
) -> Encoder:
    """Load the encoder that a person chose, None for the shipped one. Raises: SettingsError, ModelError."""
    from models.choose import open_encoder  # noqa: PLC0415  a model loads when it is needed
    from models.encode import load_encoder  # noqa: PLC0415
    from storage.scores import DIMENSIONS  # noqa: PLC0415

    if chosen is None:
        return load_encoder(setup=setup)
    encoder = open_encoder(chosen, languages=languages, setup=setup)
    if encoder.dimensions != DIMENSIONS:
        raise SettingsError(
            f"TOCSIN_ENCODER: {chosen} gives {encoder.dimensions} numbers a text and the history holds "
            f"{DIMENSIONS}: choose a model with {DIMENSIONS}"
        )
    return encoder
