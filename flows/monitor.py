"""The `monitor` flow: poll the due feeds, score what is new, store it, and deliver alerts."""

import uuid
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from flows.announce import events_of
from flows.assemble import Request, open_run
from flows.form import (
    AskedAge,
    AskedHours,
    AskedSensitivity,
    AskedZone,
    Baseline,
    DataFolder,
    DryRun,
    Feeds,
    FullText,
    PollAll,
    Topics,
    given,
    overrides_of,
)
from flows.pipeline import Step, run_steps
from flows.report import RunReport
from flows.run import Batch, MonitorRun
from flows.runners import open_crew
from flows.under_prefect import announce, named, settings_of_run, writing

# Annotations are no strings here: in a module that Prefect loaded by its path it finds no names for them.
_STEPS_OF_NEWS = {"judge_batch", "store_batch"}
_LONG_STEPS = {"poll_batch", "deliver_outbox", "publish_history"} | _STEPS_OF_NEWS


@flow(name="monitor", flow_run_name=named("monitor"), timeout_seconds=2 * 3600, persist_result=False)
def monitor(
    topics: Topics = (),
    feeds: Feeds = (),
    sensitivity: AskedSensitivity = "as set",
    quiet_hours: AskedHours = "",
    time_zone: AskedZone = "",
    full_text: FullText = False,
    dry_run: DryRun = False,
    poll_all: PollAll = False,
    baseline: Baseline = True,
    max_age_days: AskedAge = None,
    data: DataFolder = None,
) -> RunReport:
    """Poll the due feeds once, score every new article for the topics, store it and deliver alerts.

    What is given here goes before the settings, for this run.

    Args:
        topics: What to watch, all of it: these take the place of the topics in use, and are recorded.
            Empty: the topics that were recorded last, else the ten defaults.
        feeds: OPML files or feed URLs, such as `https://example.org/feed.xml`. Empty: the followed feeds,
            else TOCSIN_FEEDS, else a sample newsroom.
        sensitivity: How readily topics ring that say nothing themselves, with a threshold or a sensitivity
            other than balanced: fewer (from a score of 0.8), balanced (0.5) or more (0.3). As set:
            TOCSIN_SENSITIVITY.
        quiet_hours: Hours of the day in which nothing rings, from and to, such as `22:00-07:00`; what is
            decided in them arrives when they end. `off`: none, and no quiet weekend. Empty:
            TOCSIN_QUIET_HOURS.
        time_zone: Where these hours and a daily budget's days are counted, such as `Europe/Berlin`. Empty:
            TOCSIN_TIME_ZONE.
        full_text: Fetch the pages of new articles too, where their sites allow it, and keep their text.
        dry_run: Work on a throwaway copy of the data and print alerts instead of sending them.
        poll_all: Poll also the feeds that are not due yet.
        baseline: Store and score a feed's first poll without alerting it.
        max_age_days: An article dated more days ago (0 to 3650) rings nobody; 0: however old. None:
            TOCSIN_MAX_AGE_DAYS.
        data: Data folder, such as `/var/lib/tocsin`. None: TOCSIN_DATA, else `data`.
    """
    asked = overrides_of(sensitivity=sensitivity, quiet_hours=quiet_hours, time_zone=time_zone)
    request = Request(
        topics=given(topics),
        feeds=given(feeds),
        baseline=baseline,
        poll_all=poll_all,
        dry_run=dry_run,
        full_text=full_text,
        max_age_days=max_age_days,
        person=name_creator(),
    )
    settings = settings_of_run(data, **asked)
    with writing(), open_crew(settings) as crew, open_run(settings, request, run_id=name_run()) as run:
        run.crew = crew
        run_steps(run, wrap=_as_task)
    create_markdown_artifact(
        key="monitor-report", markdown=run.report.to_markdown(), description="What the run did"
    )
    for event in events_of(run.report, run.warned):
        announce(event.name, event.subject, event.payload)
    return run.report


def _as_task(step: Step) -> Step:
    """Make a step that may take long a Prefect task over a whole batch; the others stay what they are.

    A task costs 7 ms of the processor, so what brought nothing is not worth one.
    Retries are off, since they live in one layer below: a failed fetch is polled again when the
    schedule says so, a held database waits with jitter, an alert stays in the outbox. A task that
    raises has met a defect or a broken machine, and repeating it would hide that.
    """
    if step.__name__ not in _LONG_STEPS:
        return step
    make_task = task(
        name=step.__name__, description=step.__doc__, cache_policy=NO_CACHE, persist_result=False
    )

    def run_step(run: MonitorRun, *batches: Batch) -> Any:
        is_idle = _is_idle(step.__name__, run, batches)
        return step(run, *batches) if is_idle else make_task(step)(run, *batches)

    return run_step


def _is_idle(step: str, run: MonitorRun, batches: tuple[Batch, ...]) -> bool:
    """Tell whether a step has nothing to do that takes long."""
    if step in _STEPS_OF_NEWS:
        return not any(batch.has_news for batch in batches)
    return step == "publish_history" and not run.report.new_articles


def name_run() -> str:
    """Return the id of the flow's run, as Prefect knows it; outside of a flow a new one."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return str(context.flow_run.id)
    return str(uuid.uuid4())


def name_creator() -> str | None:
    """Return the person who started the flow's run, where Prefect knows one; a schedule is nobody."""
    context = FlowRunContext.get()
    creator = None if context is None or context.flow_run is None else context.flow_run.created_by
    if creator is None or creator.type in {"DEPLOYMENT", "AUTOMATION"}:
        return None
    return creator.display_value
