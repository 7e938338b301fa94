"""Dask and Ray as clusters that do jobs through Prefect's task runners; loaded when first needed."""

from __future__ import annotations

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner

from flows.runner_choice import split_address
from tocsin.errors import SettingsError, WorkerLost

# A job that lost its worker is done once more, by the runner itself, which knows of it first.
_REPEATS = 1
_OWN_CLUSTER = {
    "distributed.scheduler.allowed-failures": _REPEATS,
    "distributed.worker.daemon": False,  # large bodies are parsed in processes that a worker starts
}
# How long a cluster may be without any worker while we wait for an answer, and how often we look.
_PATIENCE = 120.0
_LOOK_EVERY = 15.0
_CONNECT = 30


class Cluster(ABC):
    """A cluster at an address, or worker processes of our own with one slot each."""

    name: str
    runner: TaskRunner[Any]

    def __init__(self, address: str | None, workers: int) -> None:
        self._address = address
        self._workers = workers

    @abstractmethod
    def opened(self) -> AbstractContextManager[None]:
        """Start or reach the cluster, for as long as the context. Raises: SettingsError if none answers."""

    @abstractmethod
    def slots(self) -> int:
        """Count what the workers that are there can do at the same time."""

    @abstractmethod
    def repeating(self) -> AbstractContextManager[Any]:
        """Have what is submitted within the context done again when its worker is lost."""

    @abstractmethod
    def is_done(self, future: PrefectFuture[Any], *, within: float) -> bool:
        """Wait for a job so many seconds at most and tell whether it ended."""

    @abstractmethod
    def losses(self) -> tuple[type[Exception], ...]:
        """Name the errors that stand for a job whose workers, or all the cluster, were lost."""

    def wait(self, future: PrefectFuture[Any]) -> Any:
        """Wait for a job's answer while there are workers. Raises: WorkerLost, or what the job raised."""
        try:
            self._wait_among_workers(future)
            return future.result()
        except self.losses() as error:
            raise self.lost(error) from error

    def lost(self, error: Exception) -> WorkerLost:
        """Say in one line what one of `losses` said."""
        said, _, _ = str(error).partition("\n")
        return WorkerLost(f"{self.name}: {type(error).__name__}: {said}")

    def _wait_among_workers(self, future: PrefectFuture[Any]) -> None:
        alone = 0.0
        while not self.is_done(future, within=_LOOK_EVERY):
            alone = 0.0 if self.slots() else alone + _LOOK_EVERY
            if alone >= _PATIENCE:
                raise WorkerLost(f"{self.name}: the cluster had no worker for {alone:.0f} s")

    def _not_there(self, error: Exception) -> SettingsError:
        where = f"answers at {self._address}" if self._address else "of its own could be started"
        said = f"{type(error).__name__}: {str(error)[:200]}"
        return SettingsError(f"TOCSIN_RUNNER: no {self.name} cluster {where} ({said})")


class DaskCluster(Cluster):
    """Dask: its scheduler at an address, or worker processes of our own."""

    name = "Dask"

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
            try:
                self.slots()  # connects
            except (OSError, ValueError) as error:
                raise self._not_there(error) from error
            yield

    def slots(self) -> int:
        return sum(self.runner.client.nthreads().values())  # type: ignore[attr-defined]  # Dask's runner

    def repeating(self) -> AbstractContextManager[Any]:
        return nullcontext()  # a cluster of our own was told when it started; another has its own rule

    def is_done(self, future: PrefectFuture[Any], *, within: float) -> bool:
        future.wait(timeout=within)
        return bool(future.wrapped_future.done())  # type: ignore[attr-defined]  # a future of Dask

    def losses(self) -> tuple[type[Exception], ...]:
        said = import_module("distributed")
        gone = said.client.FutureCancelledError, said.client.ClosedClientError, said.comm.CommClosedError
        return said.scheduler.KilledWorker, *gone  # the scheduler itself


class RayCluster(Cluster):
    """Ray: its head at an address, or one of our own."""

    name = "Ray"

    @contextmanager
    def opened(self) -> Iterator[None]:
        # Without an address Ray would take any cluster that it finds on this machine.
        chosen = {"address": self._address or "local", "log_to_driver": False, "logging_level": logging.ERROR}
        if not self._address:
            chosen |= {"num_cpus": self._workers, "include_dashboard": False}
        self.runner = import_module("prefect_ray").RayTaskRunner(init_kwargs=chosen)
        with ExitStack() as stack:
            try:
                self._knock()
                stack.enter_context(self.runner)
            except (OSError, ValueError) as error:
                raise self._not_there(error) from error
            yield

    def _knock(self) -> None:
        """Fail at once where nothing listens: Ray itself tries for minutes. Raises: OSError, ValueError."""
        where = split_address(self._address or "")
        if where.hostname and where.port:
            socket.create_connection((where.hostname, where.port), timeout=_CONNECT).close()

    def slots(self) -> int:
        return int(import_module("ray").cluster_resources().get("CPU", 0))

    def repeating(self) -> AbstractContextManager[Any]:
        again: AbstractContextManager[Any] = import_module("prefect_ray.context").remote_options(
            max_retries=_REPEATS
        )
        return again

    def is_done(self, future: PrefectFuture[Any], *, within: float) -> bool:
        ended, _ = import_module("ray").wait([future.wrapped_future], timeout=within)  # type: ignore[attr-defined]
        return bool(ended)

    def losses(self) -> tuple[type[Exception], ...]:
        said = import_module("ray").exceptions
        return said.WorkerCrashedError, said.NodeDiedError, said.ObjectLostError, said.OutOfMemoryError
