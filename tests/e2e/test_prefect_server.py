"""`monitor` against a real Prefect server: the run, its tasks, its topics form and its report are there."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def prefect_server(clean_environment, tmp_path_factory):
    """Start a server of its own on a free port; give its API's URL."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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


def wait_until_healthy(url, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the Prefect server did not start:\n{log.read_text()[-2000:]}")


def post(url, path, body):
    request = urllib.request.Request(
        f"{url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_the_server_holds_the_run_its_tasks_and_its_report(prefect_server, run_tocsin, few_topics, tmp_path):
    done = run_tocsin(
        *("monitor", "--topics", few_topics, "--data", tmp_path / "data", "--json"),
        PREFECT_API_URL=prefect_server,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    this_run = {"flow_runs": {"id": {"any_": [report["run_id"]]}}}
    (run,) = post(prefect_server, "flow_runs/filter", this_run)
    assert run["state_type"] == "COMPLETED"
    assert [topic["name"] for topic in run["parameters"]["topics"]] == ["open_weights", "device_bans"]
    tasks = post(prefect_server, "task_runs/filter", this_run)
    assert {task["name"].rsplit("-", 1)[0] for task in tasks} == {
        *("begin_run", "poll_batch", "judge_batch", "store_batch"),
        *("watch_spikes", "deliver_outbox", "read_feedback", "finish_run", "publish_history"),
    }
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    (artifact,) = post(prefect_server, "artifacts/filter", this_run)
    assert artifact["key"] == "monitor-report"
    joined = f"{report['new_articles']} ({report['joined_stories']} joined stories)"
    assert f"| New articles | {joined} |" in artifact["data"]
    assert not (tmp_path / "data" / "prefect").exists()


def test_the_server_shows_a_failed_run_as_failed(prefect_server, run_tocsin, tmp_path, clean_environment):
    code = "from flows.monitor import monitor; monitor(feeds=['absent.opml'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment | {"PREFECT_API_URL": prefect_server, "TOCSIN_DATA": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    failed = post(
        prefect_server, "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["FAILED"]}}}}
    )
    assert len(failed) == 1
    assert "absent.opml: no such file" in failed[0]["state"]["message"]
