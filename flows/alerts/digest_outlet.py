"""Digests through the delivery of alerts: an outlet that sends the digest that an alert stands for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from flows.alerts.compose import Message
from flows.alerts.console import ConsoleOutlet
from flows.alerts.digest import alt_text_of, compose_digest, digest_lines, title_of
from flows.alerts.outlet import MESSAGE_FAULTS, Image, Outlet, UploadingOutlet
from tocsin.errors import DeliveryError, DeliveryRefused
from tocsin.telling import Digest

log = logging.getLogger(__name__)

# Slack works on an upload for a while after it said that it is complete; until then blocks cannot show it.
IMAGE_TRIES = 3
IMAGE_PAUSE = 3.0  # seconds

Draw = Callable[[Digest], bytes | None]


@dataclass(frozen=True, slots=True)
class Tools:
    """What sending a digest needs: what draws its chart (None where there is none), and how to wait."""

    draw: Draw
    wait: Callable[[float], None]


class DigestOutlet:
    """Stands before a channel's own outlet. Whatever becomes of the chart, the digest itself is sent once.

    The chart is uploaded without a channel, so that nobody sees it before the message shows it: should the
    upload get no answer, or the process die after it, a file stays behind that nobody sees.
    """

    list_above: int | None = None

    def __init__(self, inner: Outlet, digests: Mapping[str, Digest], tools: Tools) -> None:
        self._inner, self._digests, self._tools = inner, digests, tools
        self.with_chart: set[str] = set()

    @property
    def name(self) -> str:
        """The name of the outlet behind it."""
        return self._inner.name

    @property
    def weakness(self) -> str | None:
        """The promise that the outlet behind it cannot keep."""
        return self._inner.weakness

    @property
    def pace(self) -> timedelta:
        """The pace of the outlet behind it."""
        return self._inner.pace

    @property
    def settle(self) -> timedelta:
        """The time to settle of the outlet behind it."""
        return self._inner.settle

    def send(self, channel: str, message: Message) -> str:
        """Send the digest that the message's alert stands for, with its chart where that can be had.

        Raises: DeliveryRefused, DeliveryDelayed, DeliveryUncertain.
        """
        (stand_in,) = message.alerts
        digest, outlet = self._digests[stand_in.alert_id], self._inner
        if isinstance(outlet, ConsoleOutlet):
            outlet.print_lines(digest_lines(digest))
            return f"{outlet.name}:{channel}:{digest.digest_id}"
        plain = compose_digest(digest, stand_in, now=message.composed_at)
        image = self._draw(digest) if isinstance(outlet, UploadingOutlet) else None
        file_id = self._upload(channel, image) if image else None
        if image is None or file_id is None:
            return outlet.send(channel, plain)
        shown = compose_digest(digest, stand_in, now=message.composed_at, image_id=file_id)
        return self._send_shown(channel, shown, plain, image)

    def find_delivered(
        self, channel: str, alert_ids: Collection[str], oldest: datetime, *, threads: Collection[str] = ()
    ) -> dict[str, str]:
        """Ask the outlet behind it. Raises the same errors as `send`."""
        return self._inner.find_delivered(channel, alert_ids, oldest, threads=threads)

    def _draw(self, digest: Digest) -> Image | None:
        content = self._tools.draw(digest)
        if content is None:
            return None
        name = f"tocsin-{digest.period.name}.png"
        return Image(content, name, title_of(digest), alt_text_of(digest))

    def _upload(self, channel: str, image: Image) -> str | None:
        """Upload a chart and return its id; None, with the reason in the log, if that failed."""
        assert isinstance(self._inner, UploadingOutlet)  # noqa: S101  only then is there a chart
        try:
            return self._inner.upload(channel, image)
        except DeliveryError as error:
            log.warning("digest.chart_left_out channel=%s code=%s reason=%s", channel, error.code, error)
            return None

    def _send_shown(self, channel: str, shown: Message, plain: Message, image: Image) -> str:
        """Send with the chart in the message; if that is refused, without, and the chart in its thread."""
        (stand_in,) = shown.alerts
        for _ in range(IMAGE_TRIES):
            try:
                ts = self._inner.send(channel, shown)
            except DeliveryRefused as error:
                if error.code not in MESSAGE_FAULTS:
                    raise
                log.info("digest.chart_awaited channel=%s code=%s", channel, error.code)
                self._tools.wait(IMAGE_PAUSE)
            else:
                self.with_chart.add(stand_in.alert_id)
                return ts
        ts = self._inner.send(channel, plain)
        self._put_below(channel, ts, image, stand_in.alert_id)
        return ts

    def _put_below(self, channel: str, message_ts: str, image: Image, digest_id: str) -> None:
        """Upload the chart into the thread of the message, at most once: without an answer it stays so."""
        assert isinstance(self._inner, UploadingOutlet)  # noqa: S101  as above
        try:
            self._inner.upload(channel, image, thread_ts=message_ts)
        except DeliveryError as error:
            log.warning("digest.chart_left_out channel=%s code=%s reason=%s", channel, error.code, error)
        else:
            self.with_chart.add(digest_id)
