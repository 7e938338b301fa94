"""One run of `monitor`: what was asked of it, its tools, and what goes through its steps."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from flows.alerts.outlet import Outlet
from flows.feeds.identity import Identified
from flows.feeds.options import PollOptions
from flows.feeds.poll import Brakes
from flows.report import RunReport
from models.encode import Encoder, load_encoder
from models.heads import Heads, build_heads
from storage.database import Database
from tocsin.types import Alert, Ballot, Feed, FeedState, Polled, Topic


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """What a run was asked to do. `topics` None: the newest recorded ones, else the default ten.

    `baseline`: a feed's first poll is stored and scored but not alerted. `poll_all`: also feeds
    that are not due. `channel` is where topics without a channel of their own alert,
    `operator_channel` where an operator hears of feeds that need a look.
    `full_text`: the pages of new articles are fetched too. `feedback_days`: how far back reactions are read.
    """

    feeds: tuple[Feed, ...]
    topics: tuple[Topic, ...] | None
    channel: str
    operator_channel: str
    poll: PollOptions
    baseline: bool = True
    poll_all: bool = False
    full_text: bool = False
    feedback_days: int = 0


class MonitorRun:
    """One run's tools and facts.

    A plain class on purpose: Prefect walks through every dataclass, list and dict that a task is given.
    """

    def __init__(
        self,
        *,
        db: Database,
        options: MonitorOptions,
        outlet_for: Callable[[str], Outlet],
        clock: Callable[[], datetime],
        run_id: str,
        read_ballots: Callable[[str, datetime], Iterable[Ballot]] | None = None,
    ) -> None:
        self.db = db
        self.options = options
        self.outlet_for = outlet_for
        self.read_ballots = read_ballots
        self.clock = clock
        self.report = RunReport(run_id=run_id, database=str(db.path))
        self.topics: tuple[Topic, ...] = ()
        self.versions: dict[str, str] = {}
        self.brakes: Brakes = {}
        self.waiting: list[FeedState] = []
        self.rng = random.Random(run_id)  # noqa: S311  spreads polls, guards nothing
        self._judge: tuple[Encoder, Heads] | None = None

    @property
    def run_id(self) -> str:
        """The id in every log line and row of this run."""
        return self.report.run_id

    def judge(self) -> tuple[Encoder, Heads]:
        """Load the encoder and build the heads when the first article needs them."""
        if self._judge is None:
            encoder = load_encoder()
            self._judge = encoder, build_heads(self.topics, encoder)
        return self._judge


class Batch:
    """Feeds that go through the steps together, and what the steps made of them (opaque to Prefect)."""

    def __init__(self, requests: Sequence[tuple[Feed, FeedState]]) -> None:
        self.requests = list(requests)
        self.forget()

    def forget(self) -> None:
        """Let go of what the steps made, once it is stored: a run's memory must not grow with its feeds."""
        self.polled: list[Polled] = []
        self.identified = Identified((), (), {}, {}, {})
        self.embeddings: npt.NDArray[np.float32] | None = None
        self.scores: npt.NDArray[np.float32] | None = None
        self.alerts: list[Alert] = []
