"""From what a person asked and the settings say to a run that is ready to start; no Prefect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from pydantic import SecretStr

from flows.alerts.console import CONSOLE, ConsoleOutlet
from flows.alerts.outlet import Outlet
from flows.alerts.slack import SlackOutlet
from flows.alerts.slack_api import SlackApi
from flows.alerts.slack_votes import BallotReader, VoteRules
from flows.alerts.webhook import (
    SLACK_WEBHOOK_SETTING,
    WEBHOOK,
    WEBHOOK_SETTING,
    JsonWebhookOutlet,
    Post,
    SlackWebhookOutlet,
    UnsetOutlet,
)
from flows.chosen import alert_policy
from flows.display import current_display
from flows.feedback import ReadBallots
from flows.feeds.opml import read_feed_list, unique_feeds
from flows.feeds.options import PollOptions
from flows.feeds.post import post_once
from flows.newsroom import Newsroom
from flows.run import MonitorOptions, MonitorRun
from flows.runner_choice import choose_runner
from models.topics import load_topics
from storage.database import Database
from storage.due import load_due
from storage.folder import history_path, lock_data_folder, throwaway_copy
from storage.following import load_followed, load_unfollowed
from tocsin.errors import SettingsError
from tocsin.logging import logging_run
from tocsin.settings import Settings
from tocsin.types import Ballot, Feed, Posted, Topic


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked of one run; None means what the history and the settings say.

    See the `monitor` flow. Feeds are those asked for, else those followed, else those of the settings.
    `person` is who asked, where that is known better than the settings know it.
    """

    topics: Sequence[Topic] | None = None
    feeds: Sequence[str] | None = None
    baseline: bool = True
    poll_all: bool = False
    dry_run: bool = False
    full_text: bool = False
    max_age_days: int | None = None
    person: str | None = None


def check_request(settings: Settings, request: Request) -> None:
    """Find now what would stop the run, before anything slow starts.

    Raises:
        SettingsError: feeds or topics cannot be read, or the task runner is not installed.
        StorageError: the history cannot be opened.
    """
    choose_runner(settings)
    _options(settings, request, Database(history_path(settings.data)))


@contextmanager
def open_run(settings: Settings, request: Request, *, run_id: str) -> Iterator[MonitorRun]:
    """Lock the data folder and give a run that is ready for `pipeline.run_steps`.

    Raises:
        SettingsError: feeds or topics cannot be read.
        StorageBusy: another run works in the data folder.
    """
    with logging_run(run_id), lock_data_folder(settings.data):
        path = history_path(settings.data)
        with throwaway_copy(path) if request.dry_run else nullcontext(path) as path:
            db = Database(path)
            with closing(db), _newsroom_if_no_feeds(_options(settings, request, db)) as options:
                run = MonitorRun(
                    db=db,
                    options=options,
                    outlet_for=outlets_of(settings, dry_run=request.dry_run),
                    clock=_now,
                    run_id=run_id,
                    read_ballots=None if request.dry_run else ballot_reader(settings),
                )
                run.report.dry_run = request.dry_run
                yield run


def _options(settings: Settings, request: Request, db: Database) -> MonitorOptions:
    topics = request.topics
    if topics is None and settings.topics is not None:
        topics = load_topics(settings.topics)
    return MonitorOptions(
        feeds=_choose_feeds(settings, request, db),
        topics=tuple(topics) if topics is not None else None,
        channel=default_channel(settings),
        operator_channel=operator_channel(settings),
        poll=PollOptions(allow_networks=settings.allow_networks),
        baseline=request.baseline,
        poll_all=request.poll_all,
        full_text=request.full_text,
        encoder=settings.encoder,
        encoder_languages=settings.encoder_languages,
        encoder_setup=settings.encoder_setup,
        cross_encoder=settings.cross_encoder,
        coverage_jump=settings.coverage_jump,
        feedback_days=settings.feedback_days,
        policy=alert_policy(settings, max_age_days=request.max_age_days, quiet=not request.dry_run),
        update_every=timedelta(minutes=settings.update_minutes) if settings.update_minutes else None,
        spikes=settings.spikes,
        person=request.person or settings.person,
        sensitivity=settings.sensitivity,
    )


def due_times(settings: Settings, request: Request) -> list[datetime | None]:
    """Give when feeds and alerts come up next, see `storage.due`; a run must have been before.

    Raises: SettingsError if there are no feeds to poll, StorageError.
    """
    db = Database(history_path(settings.data))
    urls = [feed.url for feed in _choose_feeds(settings, request, db)]
    with db.read() as con:
        return load_due(con, urls)


def require_feeds(settings: Settings, request: Request) -> None:
    """Refuse to go on for ever with the sample newsroom. Raises: SettingsError."""
    if not _choose_feeds(settings, request, Database(history_path(settings.data))):
        raise SettingsError(
            "No feeds to poll: follow one with `tocsin feeds add`, or give --feeds or TOCSIN_FEEDS"
        )


def default_channel(settings: Settings) -> str:
    """Name the channel of topics that name none."""
    if settings.slack_bot_token or settings.slack_webhook:
        return settings.slack_channel
    return f"{WEBHOOK}default" if settings.webhook_url else CONSOLE


def operator_channel(settings: Settings) -> str:
    """Give the channel that hears of what needs a look: the operator's, else that of alerts."""
    named = settings.operator_channel
    has_slack = settings.slack_bot_token or settings.slack_webhook
    return named if named and (has_slack or named.startswith(WEBHOOK)) else default_channel(settings)


def _choose_feeds(settings: Settings, request: Request, db: Database) -> tuple[Feed, ...]:
    """What this run was given, else what a person follows, else the settings; none means the newsroom.

    A history that had feeds of its own is never given the newsroom's invented news.
    """
    if request.feeds:
        return _read_feeds(request.feeds)
    followed, removed = _load_following(db)
    if not followed and removed and not settings.feeds:
        raise SettingsError(
            "No feeds to poll: every followed feed was removed. Follow one with `tocsin feeds add`, "
            "or give --feeds or TOCSIN_FEEDS"
        )
    return followed or _read_feeds(settings.feeds or ())


def _load_following(db: Database) -> tuple[tuple[Feed, ...], tuple[str, ...]]:
    """Give the feeds followed now, and the URLs of those that were followed once."""
    if db.path is None or not db.path.exists():
        return (), ()
    with db.read() as con:
        return tuple(each.feed for each in load_followed(con)), load_unfollowed(con)


def _read_feeds(sources: Sequence[str]) -> tuple[Feed, ...]:
    return unique_feeds(feed for source in sources for feed in read_feed_list(source))


@contextmanager
def _newsroom_if_no_feeds(options: MonitorOptions) -> Iterator[MonitorOptions]:
    """Without feeds, serve the sample newsroom and poll it as if its news had just come in."""
    if options.feeds:
        yield options
        return
    midnight = _now().replace(hour=0, minute=0, second=0, microsecond=0)
    loopback = (*options.poll.allow_networks, ip_network("127.0.0.1/32"))
    with Newsroom(anchor=midnight) as newsroom:
        polling = replace(options.poll, allow_networks=loopback)
        yield replace(options, feeds=newsroom.feeds, poll=polling, baseline=False, poll_all=True)


def outlets_of(settings: Settings, *, dry_run: bool) -> Callable[[str], Outlet]:
    """Give the outlet of a channel: the console for its own, where nothing else is set, and in dry runs."""
    console = ConsoleOutlet(current_display().alerts)
    if dry_run:
        return lambda _: console
    slack, webhook = _slack_outlet(settings) or console, _webhook_outlet(settings)

    def outlet_for(channel: str) -> Outlet:
        if channel == CONSOLE:
            return console
        return webhook if channel.startswith(WEBHOOK) else slack

    return outlet_for


def _slack_outlet(settings: Settings) -> Outlet | None:
    outlet: SlackOutlet | SlackWebhookOutlet | None = None
    if settings.slack_bot_token is not None:
        outlet = SlackOutlet(settings.slack_bot_token.get_secret_value(), settings.slack_base_url)
        outlet.has_buttons = settings.slack_app_token is not None
    elif settings.slack_webhook is not None:
        outlet = SlackWebhookOutlet(_poster(settings, settings.slack_webhook, SLACK_WEBHOOK_SETTING))
    if outlet is not None:
        outlet.tune_url = settings.tune_url
    return outlet


def ballot_reader(settings: Settings) -> ReadBallots | None:
    """Give what reads people's reactions to a channel's alerts; None without a bot token."""
    if settings.slack_bot_token is None:
        return None
    api = SlackApi(settings.slack_bot_token.get_secret_value(), settings.slack_base_url)
    rules = VoteRules(frozenset(settings.relevant_reactions), frozenset(settings.irrelevant_reactions))
    reader = BallotReader(api, rules)

    def read(channel: str, oldest: datetime) -> Iterable[Ballot]:
        is_slacks = channel != CONSOLE and not channel.startswith(WEBHOOK)
        return reader.read(channel, oldest) if is_slacks else ()

    return read


def _webhook_outlet(settings: Settings) -> Outlet:
    url, secret = settings.webhook_url, settings.webhook_secret
    if url is None or secret is None:
        return UnsetOutlet()
    post = _poster(settings, url, WEBHOOK_SETTING)
    return JsonWebhookOutlet(post, secret.get_secret_value().encode(), clock=_now)


def _poster(settings: Settings, url: SecretStr, setting: str) -> Post:
    """Bind the post to its address; private networks are refused unless they were opened."""
    options = PollOptions(allow_networks=settings.allow_networks, total_seconds=15.0)

    def post(body: bytes, headers: Mapping[str, str]) -> Posted:
        return post_once(url.get_secret_value(), body, headers, setting=setting, options=options)

    return post


def _now() -> datetime:
    return datetime.now(UTC)
