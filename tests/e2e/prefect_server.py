"""A real Prefect server and worker of one's own, as processes that can be stopped and started again."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = ROOT / "deploy" / "prefect.yaml"
_PREFECT = (sys.executable, "-m", "prefect")


def free_port():
    """Give a port that stays free until a slow server takes it: none that the system hands out itself."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)  # no seed: test processes have the same one
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class PrefectServer:
    """A server with its state in a folder: it is the same after `stop` and `start`."""

    def __init__(self, home, environment):
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/api"
        self.home, self._process = home, None
        path = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
        self.environment = environment | {
            "PYTHONPATH": path,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.url,
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }

    def start(self):
        address = ("--host", "127.0.0.1", "--port", str(self._port))
        self._process = self._begin("server.txt", "server", "start", *address)
        wait_for(self._is_healthy, what="the server", log=self.home / "server.txt", seconds=300)

    def stop(self):
        end(self._process)

    def _is_healthy(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def start_worker(self, pool, **environment):
        """Start a worker that takes runs until it is ended; what it says is in `worker.txt`."""
        return self._begin("worker.txt", "worker", "start", "--pool", pool, **environment)

    def run_worker_once(self, pool, **environment):
        """Let a worker take what is due now, and return when that has ended."""
        worker = self._begin("worker.txt", "worker", "start", "--pool", pool, "--run-once", **environment)
        assert worker.wait(timeout=240) == 0, (self.home / "worker.txt").read_text()[-3000:]

    def _begin(self, log, *arguments, **environment):
        with (self.home / log).open("ab") as file:
            return subprocess.Popen(
                [*_PREFECT, *arguments],
                env=self.environment | environment,
                cwd=self.home,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def command(self, *arguments):
        """Run a command of Prefect's, which must succeed."""
        done = subprocess.run(
            [*_PREFECT, "--no-prompt", *map(str, arguments)],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, *names, pool, within=None):
        """Deploy as the docs say, to a pool of this name; `within` seconds for the automation."""
        text = DEPLOYMENTS.read_text(encoding="utf-8").replace("{name: tocsin}", f"{{name: {pool}}}")
        if within is not None:
            text = text.replace("within: 3600", f"within: {within}")
        file = self.home / f"{pool}.yaml"
        file.write_text(text, encoding="utf-8")
        chosen = [part for name in names for part in ("-n", name)] or ["--all"]
        return self.command("deploy", *chosen, "--prefect-file", file)

    def call(self, path, body=None, *, method=None):
        """Ask the API; a server on SQLite that is busy for a moment is asked again."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/{path}", data, {"Content-Type": "application/json"}, method=method
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(request, timeout=120) as response:
                    return json.loads(response.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() > deadline:
                    raise AssertionError(f"{path}: {error.code} {error.read()[:500]}") from error
                time.sleep(0.1)

    def deployment(self, name):
        return self.call(f"deployments/name/{name}")

    def edit(self, name, **parameters):
        """Set parameters as the form in the UI does, all of them at once."""
        self.call(f"deployments/{self.deployment(name)['id']}", {"parameters": parameters}, method="PATCH")

    def pause_schedules(self, name):
        found = self.deployment(name)
        for schedule in found["schedules"]:
            path = f"deployments/{found['id']}/schedules/{schedule['id']}"
            self.call(path, {"active": False}, method="PATCH")

    def schedule_run(self, name):
        """Put a run into the server, for now, and return its id."""
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return self.call(path, {"state": {"type": "SCHEDULED"}})["id"]

    def schedule_past(self, name, *, since, until, minutes):
        """Let the server's own scheduler make the runs of a schedule that nobody took, from then to then."""
        path = f"deployments/{self.deployment(name)['id']}"
        first, last = (f"{moment:%Y%m%dT%H%M%SZ}" for moment in (since, until))
        rule = f"DTSTART:{first}\nRRULE:FREQ=MINUTELY;INTERVAL={minutes};UNTIL={last}"
        self.call(f"{path}/schedules", [{"active": True, "schedule": {"rrule": rule, "timezone": "UTC"}}])
        span = {"start_time": since.isoformat(), "end_time": until.isoformat()}
        seconds = (until - since).total_seconds()
        self.call(f"{path}/schedule", {**span, "min_time": seconds, "min_runs": 1, "max_runs": 1000})

    def runs(self, name):
        """All runs of a deployment."""
        wanted = {"deployments": {"id": {"any_": [self.deployment(name)["id"]]}}, "limit": 200}
        return self.call("flow_runs/filter", wanted)


def end(process):
    """End a process that we started with all that it started."""
    if process is None or process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(holds, *, what, log=None, seconds=120):
    """Return when `holds` does; it is asked often, and for long on a busy machine."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            said = log.read_text()[-3000:] if log else ""
            raise AssertionError(f"waited {seconds} s in vain for {what}\n{said}")
        time.sleep(0.2)
