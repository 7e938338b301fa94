"""Clusters that are there before a run: of Dask and of Ray, as processes of their own on loopback."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from prefect_server import end, free_port, wait_for

_TICK = os.sysconf("SC_CLK_TCK")
_OBJECT_STORE = 100 * 2**20


class DaskCluster:
    """A scheduler and so many worker processes of one thread; a context that ends them.

    With `nannies` they are started as docs/scaling.md says, and again when they are lost.
    """

    def __init__(self, workers, folder, environment=None, *, nannies=True):
        self._port = free_port()
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.access = {}
        self._folder, self._workers, self._nannies = folder, workers, nannies
        self._environment = (environment or dict(os.environ)) | {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
        self._processes = []

    def __enter__(self):
        self._folder.mkdir()
        self._start("scheduler", "--host", "127.0.0.1", "--port", self._port, "--no-dashboard")
        plain = (
            "--nthreads",
            "1",
            "--no-dashboard",
            "--memory-limit",
            "0",
            "--local-directory",
            self._folder,
        )
        if self._nannies:
            self._start("worker", self.address, "--nworkers", self._workers, *plain)
        else:
            for _ in range(self._workers):
                self._start("worker", self.address, "--no-nanny", *plain)
        import distributed

        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(self._workers, timeout=240)
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            end(process)

    @property
    def scheduler(self):
        """The scheduler's process id."""
        return self._processes[0].pid

    def cpu(self):
        """Give the CPU seconds of scheduler and workers without nannies, with the processes they ended."""
        return sum(_cpu_of(process.pid) for process in self._processes)

    def _start(self, what, *arguments):
        log = self._folder / f"{what}{len(self._processes)}.txt"
        command = (f"distributed.cli.dask_{what}", *arguments)
        self._processes.append(_start_module(command, log, self._environment))


class RayCluster:
    """A head with so many slots and a small store, which asks for a token; a context that ends it."""

    def __init__(self, workers, folder, environment=None):
        self.address = f"127.0.0.1:{free_port()}"
        self.client_address = f"ray://127.0.0.1:{free_port()}"
        self.access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self._folder, self._workers = folder, workers
        self._environment = (environment or dict(os.environ)) | self.access
        self._environment["RAY_raylet_start_wait_time_s"] = "240"

    def __enter__(self):
        self._folder.mkdir()
        self._scratch = tempfile.mkdtemp(prefix="ray-")  # its sockets' paths may be 107 characters long
        wanted = {
            "port": self.address.rpartition(":")[2],
            "ray-client-server-port": self.client_address.rpartition(":")[2],
            "dashboard-agent-listen-port": free_port(),
            "num-cpus": self._workers,
            "object-store-memory": _OBJECT_STORE,
            "include-dashboard": "false",
            "temp-dir": self._scratch,
        }
        options = [f"--{name}={value}" for name, value in wanted.items()]
        log = self._folder / "head.txt"
        command = ("ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats", *options)
        self._process = _start_module(command, log, self._environment)
        try:
            wait_for(lambda: "runtime started" in log.read_text(), what="Ray", log=log, seconds=300)
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        end(self._process)
        shutil.rmtree(self._scratch, ignore_errors=True)


def _start_module(command, log, environment):
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", *map(str, command)],
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _cpu_of(pid):
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, numbers[11:15])) / _TICK
