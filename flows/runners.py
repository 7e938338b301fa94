"""A run's crew: workers of Dask or Ray, by setting, whose jobs are tasks of Prefect."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from typing import Any, Generic, NoReturn, Self, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings

from flows.clusters import Cluster, DaskCluster, RayCluster
from flows.runner_choice import RunnerChoice, choose_runner
from flows.shard_work import EmbeddedTexts, EmbedJob, Pending, PolledShard, PollJob, embed_texts, poll_shard
from tocsin.errors import SettingsError, WorkerLost
from tocsin.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@contextmanager
def open_crew(settings: Settings) -> Iterator[PrefectCrew | None]:
    """Give the crew that the settings name, None for threads; its workers end with the context.

    Raises: SettingsError where the extra is not installed, or workers elsewhere could not report to Prefect.
    """
    chosen = choose_runner(settings)
    if chosen.kind == "threads":
        yield None
        return
    _require_server(chosen)
    crew = PrefectCrew(
        chosen,
        workers=settings.workers or os.cpu_count() or 1,
        shard_feeds=settings.shard_feeds,
        shard_texts=settings.shard_texts,
    )
    with crew:
        yield crew


class PrefectCrew:
    """Workers behind a task runner of Prefect; a context that ends them. Nothing starts before `slots`."""

    def __init__(self, chosen: RunnerChoice, *, workers: int, shard_feeds: int, shard_texts: int) -> None:
        self.shard_feeds = shard_feeds
        self.shard_texts = shard_texts
        self._chosen = chosen
        self._workers = workers
        self._cluster: Cluster | None = None
        self._stack = ExitStack()
        # Prefect sends its context along, and within a step's task that holds the run and its database.
        self._context = copy_context()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._cluster = None

    def slots(self) -> int:
        """Say how many jobs are done at the same time. Raises: SettingsError if no cluster answers."""
        return self._open().slots()

    def poll(self, job: PollJob) -> Pending[PolledShard]:
        """Start polling a shard as a task of Prefect."""
        return self._submit(poll_shard, job)

    def embed(self, job: EmbedJob) -> Pending[EmbeddedTexts]:
        """Start embedding a slice of texts as a task of Prefect."""
        return self._submit(embed_texts, job)

    def _open(self) -> Cluster:
        if self._cluster is None:
            kind = DaskCluster if self._chosen.kind == "dask" else RayCluster
            cluster = kind(self._chosen.address, self._workers)
            self._stack.enter_context(cluster.opened())
            self._cluster = cluster
            log.info("crew.started runner=%s slots=%d", self._chosen.kind, cluster.slots())
        return self._cluster

    def _submit(self, work: Callable[[Any], Answer], job: object) -> Pending[Answer]:
        cluster = self._open()
        made = task(name=work.__name__, description=work.__doc__, cache_policy=NO_CACHE, persist_result=False)

        def submit() -> PrefectFuture[Any]:
            with _reporting_to_our_server(), cluster.repeating():
                future: PrefectFuture[Any] = cluster.runner.submit(made(work), {"job": job})
                return future

        try:
            return _Submitted(self._context.run(submit), cluster)
        except cluster.losses() as error:
            return _Refused(cluster.lost(error))


class _Submitted(Generic[Answer]):
    def __init__(self, future: PrefectFuture[Any], cluster: Cluster) -> None:
        self._future = future
        self._cluster = cluster

    def result(self) -> Answer:
        answer: Answer = self._cluster.wait(self._future)
        return answer


class _Refused:
    """A job that a cluster did not even take, since all of it is gone."""

    def __init__(self, error: WorkerLost) -> None:
        self._error = error

    def result(self) -> NoReturn:
        raise self._error


@contextmanager
def _reporting_to_our_server() -> Iterator[None]:
    """Let workers report to the server that this run has: each would start one of its own without."""
    if get_current_settings().api.url is not None:
        yield
        return
    url = str(get_client(sync_client=True).api_url)
    with temporary_settings({PREFECT_API_URL: url}):
        yield


def _require_server(chosen: RunnerChoice) -> None:
    """Refuse workers on other machines that could not reach the server inside this process."""
    if chosen.is_elsewhere and get_current_settings().api.url is None:
        raise SettingsError(
            f"TOCSIN_RUNNER: workers at {chosen.address} cannot report to the Prefect server inside this "
            "process: run one that they reach and set PREFECT_API_URL"
        )
