"""The `monitor` flow: poll the due feeds, score what is new, store it, and deliver alerts."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from pydantic import Field

from flows.announce import events_of
from flows.assemble import Request, open_run
from flows.pipeline import Step, run_steps
from flows.report import RunReport
from flows.under_prefect import announce, named, settings_of_run, writing
from tocsin.types import Topic


@flow(name="monitor", flow_run_name=named("monitor"), timeout_seconds=2 * 3600, persist_result=False)
def monitor(
    topics: list[Topic] | None = None,
    feeds: list[str] | None = None,
    baseline: bool = True,
    poll_all: bool = False,
    dry_run: bool = False,
    full_text: bool = False,
    max_age_days: Annotated[int, Field(ge=0, le=3650)] | None = None,
    data: Path | None = None,
) -> RunReport:
    """Poll the due feeds once, score every new article for the topics, store it and deliver alerts.

    Args:
        topics: What to watch. Empty: the topics that were recorded last, else the ten defaults.
        feeds: OPML files or feed URLs. Empty: the followed feeds, else TOCSIN_FEEDS, else a sample newsroom.
        baseline: Store and score a feed's first poll without alerting it.
        poll_all: Poll also the feeds that are not due yet.
        dry_run: Work on a throwaway copy of the data and print alerts instead of sending them.
        full_text: Fetch the pages of new articles too, where their sites allow it, and keep their text.
        max_age_days: An article dated more days ago rings nobody; 0: however old. Empty: TOCSIN_MAX_AGE_DAYS.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    request = Request(
        topics=topics,
        feeds=feeds,
        baseline=baseline,
        poll_all=poll_all,
        dry_run=dry_run,
        full_text=full_text,
        max_age_days=max_age_days,
        person=name_creator(),
    )
    settings = settings_of_run(data)
    with writing(), open_run(settings, request, run_id=name_run()) as run:
        run_steps(run, wrap=_as_task)
    create_markdown_artifact(
        key="monitor-report", markdown=run.report.to_markdown(), description="What the run did"
    )
    for event in events_of(run.report, run.warned):
        announce(event.name, event.subject, event.payload)
    return run.report


def _as_task(step: Step) -> Step:
    """Make a step a Prefect task over a whole batch.

    Retries are off, since they live in one layer below: a failed fetch is polled again when the
    schedule says so, a held database waits with jitter, an alert stays in the outbox. A task that
    raises has met a defect or a broken machine, and repeating it would hide that.
    """
    make_task = task(
        name=step.__name__, description=step.__doc__, cache_policy=NO_CACHE, persist_result=False
    )
    return make_task(step)


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
