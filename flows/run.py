"""One run of `monitor`: what was asked of it, its tools, and what goes through its steps."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from flows.alerts.outlet import Outlet
from flows.alerts.rules import AlertPolicy
from flows.alerts.spikes import Sensitivity
from flows.feeds.identity import Identified
from flows.feeds.options import PollOptions
from flows.feeds.poll import Brakes
from flows.report import RunReport
from flows.shard_work import Crew
from storage.database import Database
from tocsin.decisions import Decision
from tocsin.encoder_setup import EncoderSetup
from tocsin.topic import Sensitivity as TopicSensitivity
from tocsin.types import (
    Alert,
    Article,
    Ballot,
    Feed,
    FeedState,
    FeedWarning,
    Fetched,
    Polled,
    StoryTie,
    Topic,
)

# Models take longer to load than many a poll: what brings no new article does without them.
if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from models.encode import Encoder
    from models.heads import Heads
    from models.refine import Refiner
    from models.stories import Known, Storyteller


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """What a run was asked to do. `topics` None: the newest recorded ones, else the default ten.

    `baseline`: a feed's first poll is stored and scored but not alerted. `poll_all`: also feeds
    that are not due. `channel` is where topics without a channel of their own alert,
    `operator_channel` where an operator hears of feeds that need a look.
    `full_text`: the pages of new articles are fetched too. `encoder` None: the shipped one; `encoder_setup`
    is how it and that of stories are run.
    `cross_encoder` None: nobody is asked about doubtful scores. `coverage_jump`: see `AlertRules`.
    `feedback_days`: how far back reactions are read. `policy`: what decides for all topics whether they ring.
    `update_every`: the least time between two updates of a message; None: messages stay as they were sent.
    `spikes`: how readily a topic that is far more in the news than usual is told.
    `person`: who is recorded with topics that come into use.
    `sensitivity`: of topics that say nothing themselves.
    """

    feeds: tuple[Feed, ...]
    topics: tuple[Topic, ...] | None
    channel: str
    operator_channel: str
    poll: PollOptions
    baseline: bool = True
    poll_all: bool = False
    full_text: bool = False
    encoder: str | None = None
    encoder_languages: tuple[str, ...] = ()
    encoder_setup: EncoderSetup = field(default_factory=EncoderSetup)
    cross_encoder: str | None = None
    coverage_jump: float | None = None
    feedback_days: int = 0
    policy: AlertPolicy = field(default_factory=AlertPolicy)
    update_every: timedelta | None = None
    spikes: Sensitivity | Literal["off"] = "off"
    person: str | None = None
    sensitivity: TopicSensitivity = "balanced"


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
        self.warned: list[FeedWarning] = []
        self.rng = random.Random(run_id)  # noqa: S311  spreads polls, guards nothing
        self.refiner: Refiner | None = None
        self.recent: Known | None = None
        self.fitted: tuple[datetime, dict[str, float]] | None = None
        self.crew: Crew | None = None  # without one all is done in this process
        self._judge: tuple[Encoder, Heads] | None = None
        self._storyteller: Storyteller | None = None

    @property
    def run_id(self) -> str:
        """The id in every log line and row of this run."""
        return self.report.run_id

    def judge(self) -> tuple[Encoder, Heads]:
        """Load the encoder and build the heads, with people's labels, when the first article needs them."""
        if self._judge is None:
            from flows.chosen import open_chosen_encoder  # noqa: PLC0415
            from flows.labels import learn_labels  # noqa: PLC0415
            from models.heads import build_heads  # noqa: PLC0415

            options = self.options
            encoder = open_chosen_encoder(options.encoder, options.encoder_languages, options.encoder_setup)
            names = [topic.name for topic in self.topics]
            labels = learn_labels(self.db, names, revision=encoder.revision)
            heads = build_heads(self.topics, encoder, labels=labels)
            if self.options.cross_encoder is not None:
                from models.refine import Refiner  # noqa: PLC0415
                from models.second_opinion import load_second_reader  # noqa: PLC0415

                self.refiner = Refiner(load_second_reader(self.options.cross_encoder), heads)
            self._judge = encoder, heads
        return self._judge

    def storyteller(self) -> Storyteller:
        """Load the rule of stories when the first article needs it."""
        if self._storyteller is None:
            from models.stories import load_storyteller  # noqa: PLC0415

            self._storyteller = load_storyteller(self.options.encoder_setup)
        return self._storyteller


class Batch:
    """Feeds that go through the steps together, and what the steps made of them (opaque to Prefect).

    `embeddings` and `scores` have a row for each of `scored`; the other new articles are `unscored`.
    `refined` names the heads of the scores (by row and column) that the cross-encoder had a part in.
    `lane` is that of its shard, None where the feeds were not cut by host.
    """

    def __init__(self, requests: Sequence[tuple[Feed, FeedState]], *, lane: int | None = None) -> None:
        self.requests = list(requests)
        self.lane = lane
        self.forget()

    @property
    def has_news(self) -> bool:
        """Tell whether a feed of the batch gave a body that differs from its last one."""
        return any(isinstance(polled.outcome, Fetched) for polled in self.polled)

    def forget(self) -> None:
        """Let go of what the steps made, once it is stored: a run's memory must not grow with its feeds."""
        self.polled: list[Polled] = []
        self.identified = Identified((), (), {}, {}, {})
        self.scored: tuple[Article, ...] = ()
        self.unscored: tuple[Article, ...] = ()
        self.embeddings: npt.NDArray[np.float32] | None = None
        self.scores: npt.NDArray[np.float32] | None = None
        self.refined: dict[tuple[int, int], str] = {}
        self.ties: list[StoryTie] = []
        self.alerts: list[Alert] = []
        self.decisions: list[Decision] = []
