"""The real thing: sample newsroom over HTTP, processes of their own, a DuckDB file, the Slack emulator."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
import yaml

from flows.newsroom import FOLDER, Newsroom

sys.path.insert(0, str(Path(__file__).parent))
from papers import COLUMNS, PAPERS, Paper
from prefect_server import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def manifest():
    """What the sample newsroom serves and what each entry is about."""
    return yaml.safe_load((FOLDER / "manifest.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def newsroom():
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with Newsroom(anchor=midnight, port=0) as server:
        yield server


@pytest.fixture(scope="session")
def clean_environment():
    """Return the environment without anything that belongs to us, Slack or Prefect."""
    ours = ("TOCSIN_", "SLACK_", "PREFECT_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="session")
def run_tocsin(clean_environment, tmp_path_factory):
    """Return a function that runs the command line in a folder without settings."""
    folder = tmp_path_factory.mktemp("cwd")

    def run(*arguments, timeout=150, **environment):
        command = [sys.executable, "-m", "tocsin", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=folder,
            env=clean_environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def ask(run_tocsin):
    """Return a function that asks the database of a data folder, published or not; rows as dicts."""

    def ask_history(data, query, **environment):
        done = run_tocsin("sql", query, "--json", "--live", "--data", data, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask_history


@pytest.fixture(scope="session")
def few_topics(tmp_path_factory):
    """Two of the default topics in a file: enough to alert, few enough for Slack's pace."""
    from models.topics import default_topics

    chosen = [topic for topic in default_topics() if topic.name in {"device_bans", "open_weights"}]
    path = tmp_path_factory.mktemp("topics") / "topics.yaml"
    path.write_text(yaml.safe_dump([topic.model_dump(mode="json") for topic in chosen]))
    return path


@pytest.fixture(scope="module")
def prefect_server(clean_environment, tmp_path_factory):
    """Start a server of its own on a free port; give its API's URL."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {
        "PREFECT_HOME": str(home),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, env=clean_environment | quiet, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_healthy(quiet["PREFECT_API_URL"], process, home / "log.txt")
        yield quiet["PREFECT_API_URL"]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def papers():
    """Four hosts with two feeds each."""
    published = format_datetime(datetime.now(UTC).replace(microsecond=0), usegmt=True)
    with ExitStack() as stack:
        made = [Paper(number, published) for number in range(PAPERS)]
        for paper in made:
            stack.callback(paper.server_close)
            stack.callback(paper.shutdown)
        yield made


@pytest.fixture(scope="module")
def run_papers(run_tocsin, prefect_server, papers, few_topics, tmp_path_factory):
    """Return a function that polls them with a task runner and gives the result, its report and a folder."""

    def run(runner, data=None, **environment):
        data = data or tmp_path_factory.mktemp("run") / "data"
        feeds = [url for paper in papers for url in paper.urls]
        refused = ["http://127.0.0.2:9/private.xml", f"http://127.0.0.1:{papers[0].server_port}/none.xml"]
        done = run_tocsin(
            "monitor",
            "--json",
            "--now",
            "--no-baseline",
            *("--data", data, "--topics", few_topics),
            *(part for url in [*feeds, *refused] for part in ("--feeds", url)),
            timeout=400,
            PREFECT_API_URL=prefect_server,
            TOCSIN_ALLOW_NETWORKS="127.0.0.1/32",
            TOCSIN_RUNNER=runner,
            TOCSIN_WORKERS="2",
            TOCSIN_SHARD_FEEDS="3",
            TOCSIN_SHARD_TEXTS="64",
            **environment,
        )
        assert done.stdout, done.stderr
        return done, json.loads(done.stdout.splitlines()[-1]), data

    return run


@pytest.fixture(scope="module")
def alone(run_papers):
    """A run without workers, on a file."""
    return run_papers("threads")


@pytest.fixture(scope="session")
def stored(ask):
    """Return a function that gives all that a run stored, by table."""

    def all_stored(data, **environment):
        return {
            table: ask(data, f"SELECT {columns} FROM {table} ORDER BY ALL", **environment)
            for table, columns in COLUMNS.items()
        }

    return all_stored


def wait_until_healthy(url, process, log):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")
