"""`monitor` against a real Prefect server: the run, its tasks, its topics form and its report are there."""

import json
import subprocess
import sys
import urllib.request

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
        *("poll_batch", "judge_batch", "store_batch", "deliver_outbox", "publish_history"),
    }
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    (artifact,) = post(prefect_server, "artifacts/filter", this_run)
    assert artifact["key"] == "monitor-report"
    joined = f"{report['new_articles']} ({report['joined_stories']} joined stories)"
    assert f"| New articles | {joined} |" in artifact["data"]
    assert not (tmp_path / "data" / "prefect").exists()


def test_a_run_without_news_has_no_tasks_for_it(prefect_server, run_tocsin, few_topics, tmp_path):
    arguments = ("monitor", "--topics", few_topics, "--data", tmp_path / "data", "--now", "--json")
    for _ in range(2):
        done = run_tocsin(*arguments, PREFECT_API_URL=prefect_server)
    report = json.loads(done.stdout.splitlines()[-1])
    this_run = {"flow_runs": {"id": {"any_": [report["run_id"]]}}}
    tasks = post(prefect_server, "task_runs/filter", this_run)
    assert report["new_articles"] == 0
    names = {task["name"].rsplit("-", 1)[0] for task in tasks}
    assert {"poll_batch", "deliver_outbox"} <= names
    assert not names & {"judge_batch", "store_batch"}


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
