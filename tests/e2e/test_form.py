"""The form in a browser: a person adds a topic in Prefect's UI, and the alert comes to Slack.

Needs node, chromium and what `make browser` installs. With TOCSIN_PICTURES set to a folder, the pictures of
docs/images are taken there.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.slack, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
TOPIC = {
    "Name": "school_phones",
    "Description": "Rules and bans on smartphones in schools, from ministries, counties and school boards.",
    "Examples": ["Ministry plans to keep pupils' phones out of classrooms"],
    "Counter-examples": ["Schools hand out tablets to every pupil"],
}
SERVE = "from flows.monitor import monitor; monitor.serve(name='newsroom')"


def get(url):
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def wait_for(look, process, log):
    """Return what `look` finds; it is asked until it finds something, or the process has ended."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        if found := look():
            return found
        time.sleep(0.3)
    pytest.fail(f"nothing came of it:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def browser():
    """Give the command that fills the form, or skip."""
    node, chromium = shutil.which("node"), Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    if node is None or not chromium.exists():
        pytest.skip("no browser to open the form with: node and chromium are needed")
    if not (ROOT / "tests/browser/node_modules").exists():
        pytest.skip("no browser to open the form with: run `make browser`")
    return [node, ROOT / "tests/browser/form.cjs"]


@pytest.fixture(scope="module")
def serving(prefect_server, clean_environment, slack_emulator, tmp_path_factory):
    """Serve `monitor` as a deployment; give its page, what waits for a run's end, data folder and channel."""
    folder = tmp_path_factory.mktemp("serving")
    channel, channel_id = slack_emulator.create_channel()
    environment = clean_environment | {
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "DO_NOT_TRACK": "1",
        "TOCSIN_DATA": str(folder / "data"),
        "SLACK_BOT_TOKEN": slack_emulator.token,
        "TOCSIN_SLACK_API_URL": slack_emulator.base_url,
        "TOCSIN_SLACK_CHANNEL": channel,
    }
    log = folder / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )

    def deployment():
        try:
            return get(f"{prefect_server}/deployments/name/monitor/newsroom")
        except urllib.error.HTTPError:
            return None

    def ended(run):
        found = get(f"{prefect_server}/flow_runs/{run}")
        return found if found["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

    try:
        served = wait_for(deployment, process, log)
        page = f"{prefect_server.removesuffix('/api')}/deployments/deployment/{served['id']}/run"
        yield page, lambda run: wait_for(lambda: ended(run), process, log), folder / "data", channel_id
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


@pytest.fixture
def fill(browser, serving, tmp_path):
    """Return a function that fills the form by a plan and submits it; it gives what came of it."""

    def fill_form(plan):
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        pictures = [os.environ["TOCSIN_PICTURES"]] if os.environ.get("TOCSIN_PICTURES") else []
        done = subprocess.run(
            [*browser, serving[0], tmp_path / "plan.json", *pictures],
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return fill_form


def test_a_topic_added_in_the_form_rings_in_slack_and_stands_in_sql(fill, serving, slack_emulator, ask):
    _, end_of, data, channel_id = serving
    found = fill({"topics": [TOPIC], "pictures": {"form-topic": "Topics", "form-run": "Sensitivity"}})
    assert found["status"] == 201
    run = end_of(found["run"])
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    rows = ask(data, "SELECT DISTINCT title FROM matches WHERE topic = 'school_phones'")
    assert "County bans phones in all its schools from January" in {row["title"] for row in rows}
    decided = [row["alert_id"] for row in ask(data, "SELECT alert_id FROM alerts WHERE state = 'delivered'")]
    assert decided
    assert sorted(slack_emulator.alert_ids(channel_id)) == sorted(decided)
    texts = [message["text"] for message in slack_emulator.messages(channel_id)]
    assert any("County bans phones in all its schools from January" in text for text in texts)


def test_a_threshold_that_cannot_be_is_refused_with_its_bound_and_no_run_is_made(fill):
    found = fill({"topics": [TOPIC | {"Threshold": 1.7}], "last": "form-refused", "seen": "Threshold"})
    assert found["status"] == 409
    assert "'topics[0].threshold'" in found["said"]
    assert "1.7 is greater than the maximum of 1" in found["said"]
    assert "run" not in found


def test_the_form_tells_of_every_field_what_it_is_and_loads_nothing_from_elsewhere(fill, serving):
    from flows.monitor import monitor

    found = fill({"topics": [TOPIC | {"Name": "My topic"}], "fields": {"Quiet hours": "22:00-07:00"}})
    assert "small letters, digits, underscores" in found["said"]
    shown = " ".join(found["form"].replace("`", "").split())
    topic = monitor.parameters.definitions["Topic"]["properties"]
    for field in [*monitor.parameters.properties.values(), *topic.values()]:
        assert field["title"] in shown
        assert " ".join(field["description"].replace("`", "").split()) in shown
    origin = serving[0].partition("/deployments")[0]
    assert not [url for url in found["requests"] if not url.startswith((origin, f"blob:{origin}", "data:"))]
