"""What the environment and one TOML file say; no other module reads either.

The environment wins over the file. The file is `tocsin.toml` in the working folder, or the one that
`TOCSIN_CONFIG` names; its keys are the variables' names without the prefix, in small letters.
"""

from __future__ import annotations

import getpass
import os
from datetime import time
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AliasChoices,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import SettingsError
from tocsin.place import bind_lake, is_lake_url, split_place
from tocsin.topic import Sensitivity

Network = IPv4Network | IPv6Network


class Settings(BaseSettings):
    """All settings with their defaults; `docs/settings.md` describes each."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", extra="forbid", frozen=True)

    data: Path = Field(Path("data"), description="Data folder: the database, Prefect's state and the log.")
    lake: str | None = Field(
        None,
        description="DuckLake that holds the history instead of a file in the data folder. Unset: the file.",
    )
    feeds: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None, description="Feeds to poll when none are given: OPML files or URLs, separated by commas."
    )
    topics: Path | None = Field(None, description="Topics file (YAML or JSON) to use when none is given.")
    allow_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Private networks that may be polled, separated by commas."
    )
    slack_api_url: HttpUrl = Field(
        HttpUrl("https://slack.com/api/"), description="Base URL of Slack's Web API."
    )
    slack_channel: str = Field("#tocsin", description="Channel for topics that name none.")
    operator_channel: str | None = Field(
        None, description="Channel that hears of feeds that need a look. Unset: the channel of alerts."
    )
    coverage_jump: float | None = Field(
        None,
        ge=1.5,
        description="A told story rings once more when so many times as many outlets have it. Unset: never.",
    )
    max_age_days: int = Field(
        7, ge=0, le=3650, description="An article dated more days ago rings nobody; 0: however old."
    )
    sensitivity: Sensitivity = Field(
        "balanced",
        description="How readily topics ring that say nothing themselves: fewer, balanced or more.",
    )
    time_zone: str = Field(
        "UTC", description="Time zone of quiet hours and of a budget's days, as in Europe/Berlin (IANA)."
    )
    quiet_hours: Annotated[tuple[time, time] | None, NoDecode] = Field(
        None, description="Hours of each day in which nothing rings, as in 22:00-07:00. Unset: none."
    )
    quiet_weekends: bool = Field(False, description="Nothing rings on Saturdays and Sundays either.")
    hold_warnings: bool = Field(
        True, description="In quiet time an operator's warnings wait for its end, as alerts do."
    )
    muted_outlets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Outlets that never ring and are no outlet of a story, separated by commas."
    )
    first_tier_outlets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Outlets of which one is enough where a topic waits for several."
    )
    low_tier_outlets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Outlets of which one alone rings only with a clear score."
    )
    slack_bot_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SLACK_BOT_TOKEN", "slack_bot_token"),
        description="Bot token. Unset: alerts are printed on the console.",
    )
    slack_app_token: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("SLACK_APP_TOKEN", "slack_app_token"),
        description="App-level token (xapp-…) for Socket Mode: alerts get buttons. Unset: none.",
    )
    encoder: str | None = Field(
        None,
        description="Encoder to use instead of the shipped one: a folder, or owner/name@commit of the hub.",
    )
    encoder_languages: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Languages that such an encoder covers (ISO 639-1), separated by commas. Unset: all."
    )
    encoder_providers: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="What of ONNX Runtime runs the encoder, the preferred first, such as cuda. Unset: cpu.",
    )
    encoder_threads: int | None = Field(
        None, ge=1, le=1024, description="Texts embedded at the same time. auto: by cores and measurement."
    )
    encoder_batch: int | None = Field(
        None, ge=1, le=1024, description="Texts that run together where vectors allow it. auto: measured."
    )
    cross_encoder: str | None = Field(
        None,
        description="Model (NLI or GLiClass) that judges doubtful scores: a folder, or owner/name@commit.",
    )
    slack_webhook: SecretStr | None = Field(
        None, description="Slack's incoming webhook, for those who cannot install an app; a secret."
    )
    webhook_url: SecretStr | None = Field(
        None, description="Address that takes the alerts of channels named webhook:NAME as signed JSON."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="What posts to TOCSIN_WEBHOOK_URL are signed with."
    )
    share_token: SecretStr | None = Field(
        None, description="What DuckDB clients show to `tocsin share`: 16 characters or more; a secret."
    )
    relevant_reactions: Annotated[tuple[str, ...], NoDecode] = Field(
        ("white_check_mark",), description="Reactions to an alert that mean yes, separated by commas."
    )
    irrelevant_reactions: Annotated[tuple[str, ...], NoDecode] = Field(
        ("x",), description="Reactions to an alert that mean no, separated by commas."
    )
    feedback_days: int = Field(7, ge=0, le=365, description="Days to read reactions back for; 0: never.")
    update_minutes: int = Field(
        10, ge=0, le=1440, description="Least minutes between updates of a message in Slack; 0: no updates."
    )
    spikes: Literal["off", "fewer", "balanced", "more"] = Field(
        "fewer",
        description="How readily topics far more in the news than usual ring: off, fewer, balanced or more.",
    )
    tune_url: str | None = Field(
        None, description="Where people tune a topic, linked in alerts; {topic} stands for its name."
    )
    runner: str = Field(
        "threads",
        description="What polls and embeds: threads, dask, dask:ADDRESS, ray or ray:ADDRESS.",
    )
    workers: int | None = Field(
        None, ge=1, le=1024, description="Worker processes of dask and ray without an address. Unset: cores."
    )
    shard_feeds: int = Field(
        250, ge=1, le=10_000, description="Feeds at most that one task of dask or ray polls."
    )
    shard_texts: int = Field(
        256, ge=1, le=10_000, description="Texts at most that one task of dask or ray embeds."
    )
    prune_older_than: str | None = Field(
        None, description="Age at which the flow `prune` removes articles, such as 2y. Unset: never."
    )
    user: str | None = Field(
        None, description="Who changes topics and labels, as recorded. Unset: the operating system's user."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Level of the log file."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_place(cls, values: Any) -> Any:
        """Take a DuckLake's URL apart: the local folder is `data`, the rest is `lake`."""
        if is_lake_url(str(values.get("data", ""))):
            address, folder = split_place(str(values["data"]))
            return values | {"data": folder, "lake": str(address)}
        if values.get("lake"):
            return values | {"lake": str(split_place(values["lake"])[0])}
        return values | {"lake": None}

    @field_validator(
        "feeds",
        "encoder_languages",
        "encoder_providers",
        "muted_outlets",
        "first_tier_outlets",
        "low_tier_outlets",
        mode="before",
    )
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return _split(value)

    @field_validator("encoder_threads", "encoder_batch", mode="before")
    @classmethod
    def _auto_is_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() in {"auto", ""} else value

    @field_validator("relevant_reactions", "irrelevant_reactions", mode="before")
    @classmethod
    def _strip_colons(cls, value: Any) -> object:
        return tuple(name.strip(":") for name in _split(value))

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _read_networks(cls, value: Any) -> object:
        return tuple(ip_network(item) for item in _split(value))

    @field_validator("quiet_hours", mode="before")
    @classmethod
    def _read_hours(cls, value: Any) -> object:
        return _hours(value) if isinstance(value, str) else value

    @field_validator("runner", mode="after")
    @classmethod
    def _check_runner(cls, value: str) -> str:
        kind, colon, address = value.strip().partition(":")
        if kind not in {"threads", "dask", "ray"} or (colon and (kind == "threads" or not address)):
            raise ValueError("it is threads, dask, dask:ADDRESS, ray or ray:ADDRESS")
        if "@" in address:
            raise ValueError("an address holds no user and password")
        return value.strip()

    @field_validator("time_zone", mode="after")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        return check_zone(value)

    @field_validator("slack_webhook", "webhook_url", mode="after")
    @classmethod
    def _check_address(cls, value: SecretStr | None) -> SecretStr | None:
        address = value.get_secret_value().strip() if value else ""
        if not address:
            return None
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("it is not an http or https address")
        return SecretStr(address)

    @field_validator("tune_url", mode="after")
    @classmethod
    def _check_tune_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ValueError("it is not an http or https address without a user and password")
        return value

    @model_validator(mode="after")
    def _require_secret(self) -> Settings:
        has_secret = self.webhook_secret is not None and self.webhook_secret.get_secret_value()
        if self.webhook_url is not None and not has_secret:
            raise ValueError("TOCSIN_WEBHOOK_URL needs TOCSIN_WEBHOOK_SECRET to sign with")
        return self

    @field_validator("slack_bot_token", "slack_app_token", mode="after")
    @classmethod
    def _empty_token_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value().strip() else None

    @property
    def slack_base_url(self) -> str:
        """Slack's base URL, always with a closing slash."""
        return str(self.slack_api_url).rstrip("/") + "/"

    @property
    def encoder_setup(self) -> EncoderSetup:
        """How encoders are to be run."""
        return EncoderSetup(self.encoder_providers, self.encoder_threads, self.encoder_batch)

    @property
    def person(self) -> str:
        """Who works here, as it is recorded with what they change."""
        if self.user and self.user.strip():
            return self.user.strip()
        try:
            return getpass.getuser()
        except (OSError, KeyError, ImportError):  # a container may know no name for its user
            return "unknown"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings  # two places are enough to look in
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_toml_file())


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def check_zone(name: str) -> str:
    """Return the name of a time zone as it is known. Raises: ValueError that says how to write one."""
    try:
        return ZoneInfo(name).key
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise ValueError(f"{name!r} is no time zone; write it as in Europe/Berlin") from None


def _hours(text: str) -> tuple[time, time] | None:
    if not text.strip():
        return None
    try:
        start, end = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        raise ValueError(f"{text!r} is no span of hours; write it as in 22:00-07:00") from None
    if start == end or start.tzinfo or end.tzinfo:
        raise ValueError(f"{text!r}: the hours must differ, and their zone is set by TOCSIN_TIME_ZONE")
    return start, end


def _toml_file() -> Path:
    named = os.environ.get("TOCSIN_CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"TOCSIN_CONFIG: there is no file {named}")
    return Path(named or "tocsin.toml")


def load_settings(**overrides: object) -> Settings:
    """Read the environment and the TOML file; `overrides` (not None) win.

    A DuckLake's address is kept in the data folder then: there everybody finds the history by it.

    Raises:
        SettingsError: naming every wrong setting, and never a secret's value.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks the values, that is its work
    except ValidationError as error:
        problems = "; ".join(f"{_name(item['loc'])}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"Settings: {problems}") from None
    except ValueError as error:  # tomllib's, for a file that is not TOML
        raise SettingsError(f"{_toml_file()}: {error}") from error
    if settings.lake:
        bind_lake(settings.data, split_place(settings.lake)[0])
    return settings


def _name(location: tuple[int | str, ...]) -> str:
    first = str(location[0]) if location else "settings"
    return first if first.isupper() else f"TOCSIN_{first.upper()}"


def export_prefect_defaults(settings: Settings) -> None:
    """Tell Prefect, before it is imported, to be quiet and to keep its state in the data folder; Ray too.

    What the environment says already stays: with `PREFECT_API_URL` or `PREFECT_HOME` set, runs are
    recorded there. Without, Prefect starts a server of its own for the time of the run.
    """
    defaults = {
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # its log still reaches its server
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    if not any(name in os.environ for name in ("PREFECT_API_URL", "PREFECT_PROFILES_PATH")):
        defaults["PREFECT_HOME"] = str(settings.data.resolve() / "prefect")
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
