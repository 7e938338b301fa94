"""Prefect's task runners as a run's crew: Dask or Ray, by setting; loaded and started when first needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from importlib import import_module
from typing import Any, Generic, Self, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.task_runners import TaskRunner

from flows.runner_choice import RunnerChoice, choose_runner
from flows.shard_work import EmbeddedTexts, EmbedJob, Pending, PolledShard, PollJob, embed_texts, poll_shard
from tocsin.errors import SettingsError, WorkerLost
from tocsin.settings import Settings

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# A job that lost its worker is done once more, by the runner itself, which knows of it first.
_REPEATS = 1
_OWN_CLUSTER = {
    "distributed.scheduler.allowed-failures": _REPEATS,
    "distributed.worker.daemon": False,  # large bodies are parsed in processes that a worker starts
}
# How long a Dask scheduler may be without any worker while we wait for an answer, and how often we look.
_PATIENCE = 120.0
_LOOK_EVERY = 15.0
_CONNECT = 30


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
        self._backend: _Dask | _Ray | None = None
        self._stack = ExitStack()
        # Prefect sends its context along, and within a step's task that holds the run and its database.
        self._context = copy_context()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._backend = None

    def slots(self) -> int:
        """Say how many jobs are done at the same time. Raises: SettingsError if no cluster answers."""
        return self._open().slots()

    def poll(self, job: PollJob) -> Pending[PolledShard]:
        """Start polling a shard as a task of Prefect."""
        return self._submit(poll_shard, job)

    def embed(self, job: EmbedJob) -> Pending[EmbeddedTexts]:
        """Start embedding a slice of texts as a task of Prefect."""
        return self._submit(embed_texts, job)

    def _open(self) -> _Dask | _Ray:
        if self._backend is None:
            kind = _Dask if self._chosen.kind == "dask" else _Ray
            backend = kind(self._chosen.address, self._workers)
            self._stack.enter_context(backend.opened())
            self._backend = backend
            log.info("crew.started runner=%s slots=%d", self._chosen.kind, backend.slots())
        return self._backend

    def _submit(self, work: Callable[[Any], Answer], job: object) -> Pending[Answer]:
        backend = self._open()
        made = task(name=work.__name__, description=work.__doc__, cache_policy=NO_CACHE, persist_result=False)

        def submit() -> PrefectFuture[Any]:
            with _reporting_to_our_server(), backend.repeating():
                future: PrefectFuture[Any] = backend.runner.submit(made(work), {"job": job})
                return future

        return _Submitted(self._context.run(submit), backend)


class _Submitted(Generic[Answer]):
    def __init__(self, future: PrefectFuture[Any], backend: _Dask | _Ray) -> None:
        self._future = future
        self._backend = backend

    def result(self) -> Answer:
        answer: Answer = self._backend.wait(self._future)
        return answer


class _Dask:
    """A Dask cluster: a scheduler at an address, or worker processes of our own, one slot each."""

    runner: TaskRunner[Any]

    def __init__(self, address: str | None, workers: int) -> None:
        self._address = address
        self._workers = workers

    @contextmanager
    def opened(self) -> Iterator[None]:
        runners, dask = import_module("prefect_dask"), import_module("dask")
        own = {
            "n_workers": self._workers,
            "threads_per_worker": 1,
            "dashboard_address": None,
            "silence_logs": logging.CRITICAL,
        }
        if self._address:
            self.runner = runners.DaskTaskRunner(address=self._address, client_kwargs={"timeout": _CONNECT})
        else:
            self.runner = runners.DaskTaskRunner(cluster_kwargs=own)
        with dask.config.set(_OWN_CLUSTER), self.runner:
            self._connect()
            yield

    def slots(self) -> int:
        return sum(self._threads().values())

    def repeating(self) -> ExitStack:
        return ExitStack()  # a cluster of our own was told when it started; another has its own rule

    def wait(self, future: PrefectFuture[Any]) -> Any:
        killed = import_module("distributed").scheduler.KilledWorker
        alone = 0.0
        while True:
            try:
                return future.result(timeout=_LOOK_EVERY)
            except killed as error:
                raise WorkerLost(f"Dask: {error}") from error
            except TimeoutError as error:
                if future.wrapped_future.done():  # type: ignore[attr-defined]  # a future of Dask
                    return future.result()  # the job's own, or it was done this moment
                alone = 0.0 if self._threads() else alone + _LOOK_EVERY
                if alone >= _PATIENCE:
                    raise WorkerLost(f"Dask: the scheduler had no worker for {alone:.0f} s") from error

    def _threads(self) -> dict[str, int]:
        threads: dict[str, int] = self.runner.client.nthreads()  # type: ignore[attr-defined]  # Dask's runner
        return threads

    def _connect(self) -> None:
        try:
            self._threads()
        except OSError as error:
            raise SettingsError(
                f"TOCSIN_RUNNER: no Dask scheduler answers at {self._address} ({type(error).__name__})"
            ) from error


class _Ray:
    """A Ray cluster: one at an address, or one of our own with so many slots."""

    runner: TaskRunner[Any]

    def __init__(self, address: str | None, workers: int) -> None:
        self._address = address
        self._workers = workers

    @contextmanager
    def opened(self) -> Iterator[None]:
        runners = import_module("prefect_ray")
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        own = quiet | {"num_cpus": self._workers, "include_dashboard": False}
        self.runner = runners.RayTaskRunner(
            address=self._address, init_kwargs=quiet if self._address else own
        )
        try:
            self.runner.__enter__()
        except ConnectionError as error:
            raise SettingsError(f"TOCSIN_RUNNER: no Ray cluster answers at {self._address}") from error
        try:
            yield
        finally:
            self.runner.__exit__(None, None, None)

    def slots(self) -> int:
        return int(import_module("ray").cluster_resources().get("CPU", 0))

    def repeating(self) -> Any:
        return import_module("prefect_ray.context").remote_options(max_retries=_REPEATS)

    def wait(self, future: PrefectFuture[Any]) -> Any:
        said = import_module("ray").exceptions
        try:
            return future.result()
        except (
            said.WorkerCrashedError,
            said.NodeDiedError,
            said.ObjectLostError,
            said.OutOfMemoryError,
        ) as error:
            raise WorkerLost(f"Ray: {type(error).__name__}") from error


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
