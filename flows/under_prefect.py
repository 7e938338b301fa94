"""What Prefect knows of a flow's run and what it is told: settings, names, the writer's slot, events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    get_current_settings,
    temporary_settings,
)

from tocsin.errors import SettingsError, StorageBusy
from tocsin.logging import configure_logging
from tocsin.settings import Settings, load_settings

log = logging.getLogger(__name__)

# The global concurrency limit of runs that write; without one of that name nothing is limited here.
WRITER = "tocsin-writer"
# A slot is waited for this long, and given back by the server so long after a run that was killed.
LONGEST_WAIT = 900.0
LEASE = 120.0


def settings_of_run(data: Path | None, **asked: object) -> Settings:
    """Load the settings; what was `asked` of the run goes before them.

    A deployment's run writes to the log file too, and must know where its data lie.

    Raises: SettingsError, also where a worker was given no absolute data folder: it works in a folder that is
    thrown away, and a history in there would be lost.
    """
    settings = load_settings(data=data, **asked)
    if _is_deployments():
        if not settings.data.is_absolute():
            raise SettingsError(
                f"TOCSIN_DATA is {settings.data}: give the worker an absolute data folder, since the folder "
                "that it runs flows in is thrown away"
            )
        configure_logging(settings.data, level=settings.log_level)
    return settings


def named(label: str) -> Callable[[], str]:
    """Give what names a run after its flow and when it was to start, as in `monitor 22 Nov 10:45`."""

    def name() -> str:
        context = FlowRunContext.get()
        run = None if context is None else context.flow_run
        at = None if run is None else run.expected_start_time
        return f"{label} {(at or datetime.now(UTC)).astimezone(UTC):%d %b %H:%M}"

    return name


@contextmanager
def writing() -> Iterator[None]:
    """Hold the writer's slot of Prefect while a deployment's run changes the history.

    The data folder's lock is what protects the history; this makes runs of other flows wait visibly, and
    longer than the lock does, instead of failing. Raises: StorageBusy if it was waited for in vain.
    """
    if not _is_deployments():
        yield
        return
    slot = concurrency(
        WRITER, timeout_seconds=LONGEST_WAIT, lease_duration=LEASE, raise_on_lease_renewal_failure=False
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(slot)
        except TimeoutError as error:
            raise StorageBusy(
                f"Prefect's limit {WRITER}: other runs held it for {LONGEST_WAIT / 60:.0f} minutes; "
                "see which one hangs, then start this one again"
            ) from error
        yield


@contextmanager
def without_heartbeat() -> Iterator[None]:
    """Let Prefect send no heartbeat of the flows that a command runs in here, unless somebody set how often.

    They are for runs that a worker looks after. At the end of a run Prefect waits up to a second for the
    thread that sends them, which is half as long as a run of 500 feeds takes.
    """
    if "heartbeat_frequency" in get_current_settings().flows.model_fields_set:
        yield
        return
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def announce(event: str, subject: str, payload: Mapping[str, Any]) -> None:
    """Emit an event of ours, `tocsin.NOUN.VERB_PAST`, about `subject`, for those who react to it.

    Without a Prefect server that lasts nobody could, and nothing is emitted.
    """
    if get_current_settings().api.url is not None:
        resource = {"prefect.resource.id": f"tocsin.{subject}", "prefect.resource.name": subject}
        emit_event(event, resource, related=_this_run(), payload=dict(payload))


def _this_run() -> list[dict[str, str]]:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return []
    role = {"prefect.resource.role": "flow-run", "prefect.resource.name": context.flow_run.name}
    return [{"prefect.resource.id": f"prefect.flow-run.{context.flow_run.id}", **role}]


def _is_deployments() -> bool:
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None
