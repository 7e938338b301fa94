"""Examines what Slack allows: token, scopes, channels and their history; sends a test alert on request."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from flows.alerts.compose import compose_message
from flows.alerts.slack import SlackOutlet
from flows.alerts.slack_api import Page
from flows.alerts.slack_scopes import missing_scopes
from tocsin.errors import DeliveryError, DeliveryRefused
from tocsin.types import Alert

TEST_TITLE = "This is a test: Tocsin can alert this channel"
_LOOK_BACK = timedelta(hours=1)

Level = Literal["good", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out. `subject` is token, scopes, network or a channel's name without `#`."""

    subject: str
    level: Level
    text: str


@dataclass(slots=True)
class SlackCheck:
    """What was found, in the order in which it was asked. `scopes` None: Slack did not say."""

    findings: list[Finding] = field(default_factory=list)
    scopes: tuple[str, ...] | None = None
    missing: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Tell whether every promise can be kept: no problem was found."""
        return all(finding.level != "problem" for finding in self.findings)

    def add(self, subject: str, level: Level, text: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(subject, level, text))


def check_slack(
    outlet: SlackOutlet,
    channels: Mapping[str, Sequence[str]],
    *,
    clock: Callable[[], datetime],
    send: bool = False,
) -> SlackCheck:
    """Ask Slack all that delivery depends on; `channels` maps a channel's name to what uses it.

    With `send` a test alert goes to each channel that is in order, and is read back by its metadata. What is
    wrong is a finding, never an exception.
    """
    found = SlackCheck()
    if not _check_token(outlet, found):
        return found
    listed = _list_channels(outlet, found)
    for name, uses in channels.items():
        try:
            if _check_channel(outlet, found, name, uses, listed) and send:
                _send_test(outlet, found, name, clock)
        except DeliveryError as error:
            found.add(name, "problem", str(error))
    return found


def _check_token(outlet: SlackOutlet, found: SlackCheck) -> bool:
    try:
        who = outlet.api.ask("auth.test", about="(none)")
    except DeliveryError as error:
        subject = "token" if isinstance(error, DeliveryRefused) else "network"
        found.add(subject, "problem", str(error))
        return False
    found.add("token", "good", f"the token is {who.get('user')}'s in the workspace {who.get('team')}")
    _check_scopes(outlet, found)
    return True


def _check_scopes(outlet: SlackOutlet, found: SlackCheck) -> None:
    granted = outlet.api.scopes
    if granted is None:
        found.add("scopes", "note", "Slack did not list the token's scopes; the calls below show what it may")
        return
    missing = missing_scopes(granted)
    found.scopes, found.missing = tuple(sorted(granted)), tuple(scope.name for scope in missing)
    for scope in missing:
        found.add("scopes", "problem", f"{scope.name} is missing: {scope.loss}")
    if not missing:
        found.add("scopes", "good", "every scope that is needed is there")


def _list_channels(outlet: SlackOutlet, found: SlackCheck) -> dict[str, Page] | None:
    """Give the channels that the app can see by name and by id; None if it may not list them."""
    try:
        channels = list(outlet.api.list_channels(about="(all)"))
    except DeliveryError as error:
        found.add("scopes", "problem", str(error))
        return None
    return {str(each.get(key)): each for each in channels for key in ("name", "id")}


def _check_channel(
    outlet: SlackOutlet,
    found: SlackCheck,
    name: str,
    uses: Sequence[str],
    listed: Mapping[str, Page] | None,
) -> bool:
    """Tell whether posts to the channel can work, and note what was found."""
    used = f" (used by: {', '.join(uses)})" if uses else ""
    if listed is None:
        return True  # only a post can tell
    channel = listed.get(name)
    if channel is None:
        text = "does not exist, or is private and the app was not invited; check its name"
        found.add(name, "problem", f"the channel {text}{used}")
        return False
    if channel.get("is_archived"):
        found.add(name, "problem", f"the channel is archived; unarchive it or use another{used}")
        return False
    if channel.get("is_member") is False:
        found.add(name, "problem", f"the app is not a member of the channel; /invite it there{used}")
        return False
    found.add(name, "good", f"the channel exists and the app is a member{used}")
    _check_history(outlet, found, name)
    return True


def _check_history(outlet: SlackOutlet, found: SlackCheck, name: str) -> None:
    try:
        outlet.api.ask(
            "conversations.history",
            about=name,
            channel=outlet.api.find_id(name),
            limit=1,
            include_all_metadata=True,
        )
    except DeliveryRefused as error:
        loss = "alerts in doubt are kept back and not sent again, since nobody can tell whether they arrived"
        found.add(name, "problem", f"its history cannot be read: {error}. Without it {loss}")
    else:
        found.add(name, "good", "its history can be read, so an alert in doubt is looked up, never doubled")


def _send_test(outlet: SlackOutlet, found: SlackCheck, name: str, clock: Callable[[], datetime]) -> None:
    now = clock()
    alert = _make_test(name, now)
    outlet.send(name, compose_message(alert, now=now))
    found.add(name, "good", "a test alert was sent")
    if outlet.find_delivered(name, {alert.alert_id}, now - _LOOK_BACK):
        found.add(name, "good", "the test alert was read back by its id")
    else:
        found.add(
            name, "problem", "the test alert is not in the channel's history, or lost its id (metadata) there"
        )


def _make_test(channel: str, now: datetime) -> Alert:
    return Alert(
        alert_id=f"test-{secrets.token_hex(9)}",
        article_id=0,
        channel=channel,
        title=TEST_TITLE,
        url=None,
        outlet="Tocsin",
        published_at=now,
        decided_at=now,
        reasons=(),
    )
