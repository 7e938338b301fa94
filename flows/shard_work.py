"""What a worker does for a run: poll a shard, or embed a slice of texts. It knows no database.

Jobs and answers are plain classes on purpose: Prefect walks through every dataclass, list and dict of a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from multiprocessing import current_process
from typing import TYPE_CHECKING, Protocol, TypeVar

from flows.feeds.options import PollOptions
from flows.feeds.poll import Brakes, Request, poll_feeds
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import SettingsError
from tocsin.logging import LogLine, collecting_log
from tocsin.types import Polled

if TYPE_CHECKING:
    from models.encode import Encoder, Vectors

Answer_co = TypeVar("Answer_co", covariant=True)


class PollJob:
    """Feeds to poll with all that must be known for it; `brakes` are those of its hosts."""

    def __init__(
        self, requests: Sequence[Request], *, options: PollOptions, brakes: Brakes, log_level: int
    ) -> None:
        self.requests = tuple(requests)
        self.options = options
        self.brakes = brakes
        self.log_level = log_level


class PolledShard:
    """What came of a `PollJob`: results in the order of its requests, brakes, and the lines for the log."""

    def __init__(self, polled: list[Polled], brakes: Brakes, log: list[LogLine]) -> None:
        self.polled = polled
        self.brakes = brakes
        self.log = log


class EmbedJob:
    """Texts to embed by the encoder that a person chose, run as that person set it; None: the shipped one."""

    def __init__(
        self,
        texts: Sequence[str],
        *,
        encoder: str | None,
        languages: tuple[str, ...],
        setup: EncoderSetup,
    ) -> None:
        self.texts = list(texts)
        self.encoder = encoder
        self.languages = languages
        self.setup = setup


class EmbeddedTexts:
    """Vectors, float32 (n, dimensions), in the order of an `EmbedJob`, and the revision that gave them."""

    def __init__(self, vectors: Vectors, revision: str) -> None:
        self.vectors = vectors
        self.revision = revision


class Pending(Protocol[Answer_co]):
    """A job under way."""

    def result(self) -> Answer_co:
        """Wait for the answer. Raises: WorkerLost, or what the job raised."""


class Crew(Protocol):
    """Workers that do a run's jobs; `shard_feeds` and `shard_texts` are how many one job takes."""

    shard_feeds: int
    shard_texts: int

    def slots(self) -> int:
        """Say how many jobs are done at the same time; the workers are started if they were not."""

    def poll(self, job: PollJob) -> Pending[PolledShard]:
        """Start polling a shard."""

    def embed(self, job: EmbedJob) -> Pending[EmbeddedTexts]:
        """Start embedding a slice of texts."""


def poll_shard(job: PollJob) -> PolledShard:
    """Fetch and parse a shard's feeds; a feed's failure is a value. Done twice, it only asks twice.

    Raises: SettingsError in a process that may have no children, since hostile bodies are parsed in some.
    """
    if current_process().daemon:
        raise SettingsError(
            "TOCSIN_RUNNER: Dask's workers may start no processes: start them with "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False, since large bodies are parsed in processes of their own"
        )
    brakes = dict(job.brakes)
    with collecting_log(job.log_level) as log:
        polled = asyncio.run(poll_feeds(job.requests, clock=_now, options=job.options, brakes=brakes))
    return PolledShard(polled, brakes, log)


def embed_texts(job: EmbedJob) -> EmbeddedTexts:
    """Embed a slice of texts on one core, as a worker's slot is one; the encoder is loaded once a process."""
    encoder = _encoder(job.encoder, job.languages, replace(job.setup, threads=1))
    return EmbeddedTexts(encoder.embed(job.texts), encoder.revision)


@lru_cache(maxsize=1)
def _encoder(chosen: str | None, languages: tuple[str, ...], setup: EncoderSetup) -> Encoder:
    from models.choose import open_encoder  # noqa: PLC0415  a worker that only polls needs no model

    return open_encoder(chosen, languages=languages, setup=setup)


def _now() -> datetime:
    return datetime.now(UTC)
