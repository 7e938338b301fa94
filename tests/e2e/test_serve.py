"""`tocsin serve` as a service manager runs it: it works until it is told to stop, and ends well."""

import signal
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def start_serving(clean_environment, tmp_path):
    """Start the command line; whatever a test leaves running is ended."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "serve", *map(str, arguments)],
            cwd=tmp_path,
            env=clean_environment | {"TOCSIN_ALLOW_NETWORKS": "127.0.0.0/8", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        started_watchdogs.append(watchdog)
        return process

    started_watchdogs = []
    yield start
    for process, watchdog in zip(started, started_watchdogs, strict=True):
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_it_polls_reports_and_stops_when_told(start_serving, newsroom, ask, tmp_path):
    feed = newsroom.feeds[0].url
    serving = start_serving("--feeds", feed, "--data", tmp_path / "data", "--no-baseline")
    lines = iter(serving.stdout.readline, "")
    said = next(line for line in lines if "feeds polled" in line)
    assert said.startswith("1 feeds polled (0 failed), ")
    serving.send_signal(signal.SIGTERM)
    rest = list(lines)
    assert serving.wait() == 0, rest
    assert not [line for line in rest if "nanobind" in line], "DuckDB was still open when the process ended"
    runs = ask(tmp_path / "data", "SELECT state FROM runs")
    assert [row["state"] for row in runs] == ["completed"]
    assert ask(tmp_path / "data", "SELECT count(*) AS n FROM articles")[0]["n"] > 0


def test_without_feeds_it_says_what_to_do_and_does_not_start(run_tocsin, tmp_path):
    done = run_tocsin("serve", "--data", tmp_path / "data")
    assert done.returncode == 2
    assert "tocsin feeds add" in done.stderr
