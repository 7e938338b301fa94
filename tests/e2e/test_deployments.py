"""The deployments of deploy/prefect.yaml on a real server: edits survive, outages leave nothing behind."""

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from prefect_server import DEPLOYMENTS, PrefectServer, end, wait_for

from flows.newsroom import Newsroom
from storage.database import Database
from storage.folder import history_path
from storage.runs import finish_run, start_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

POOL = "tests"
# Whatever an article is about, it rings.
CABLES = {"name": "cables", "description": "Cuts and repairs of undersea cables", "threshold": 0.0}
PATH = "/world-desk/rss.xml"
# Four editions of two; no two tell of one event.
HEADLINES = (
    "Divers mend the undersea cable that a trawler cut off Gotland",
    "Parliament of Norway debates a quota for cod fishing",
    "A volcano on Java forces forty villages to leave",
    "Chess champion resigns after eleven moves in Oslo",
    "Bakers in Lyon strike over the price of butter",
    "Astronomers find a moon around a distant ice planet",
    "Central bank of Chile leaves its interest rate unchanged",
    "Train drivers in Kenya get a new pension fund",
)


@pytest.fixture(scope="module")
def server(clean_environment, tmp_path_factory):
    """A server with a pool and all that is deployed; nothing is started by a schedule."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"), clean_environment)
    try:
        server.start()
        server.command("work-pool", "create", POOL, "--type", "process")
        server.command("gcl", "create", "tocsin-writer", "--limit", "1")
        server.deploy(pool=POOL)
        wait_for(lambda: server.runs("monitor/monitor"), what="the scheduler to make runs")
        for deployment in _named():
            server.pause_schedules(deployment)
        yield server
    finally:
        server.stop()


@pytest.fixture
def newsroom():
    with Newsroom(anchor=datetime.now(UTC), port=0) as room:
        yield room


@pytest.fixture
def publish(newsroom):
    """Return a function that serves the first so many headlines, the newest on top; give the feed's URL."""

    def serve(count):
        items = "".join(
            f"<item><title>{title}</title><link>https://news.example/{number}</link>"
            f"<guid>n-{number}</guid></item>"
            for number, title in enumerate(HEADLINES[:count])
        )
        body = f"<rss version='2.0'><channel><title>World Desk</title>{items}</channel></rss>"
        newsroom.publish(PATH, body.encode(), content_type="application/rss+xml")
        return next(feed.url for feed in newsroom.feeds if feed.url.endswith(PATH))

    return serve


@pytest.fixture
def worker_settings(tmp_path, slack_emulator, fault_proxy):
    """Settings of a worker: its data folder, and Slack behind a proxy; gives them and the channel's id."""
    name, channel = slack_emulator.create_channel()
    settings = {
        "TOCSIN_DATA": str(tmp_path / "data"),
        "TOCSIN_ALLOW_NETWORKS": "127.0.0.0/8",
        "TOCSIN_SLACK_CHANNEL": name,
        "TOCSIN_SLACK_API_URL": fault_proxy.base_url,
        "SLACK_BOT_TOKEN": slack_emulator.token,
    }
    return settings, channel


def _named():
    listed = yaml.safe_load(DEPLOYMENTS.read_text(encoding="utf-8"))["deployments"]
    return [f"{each['entrypoint'].rsplit('.', 1)[1]}/{each['name']}" for each in listed]


def test_every_flow_is_deployed_with_a_limit_and_a_checked_form(server):
    flows = {name.split("/")[0] for name in _named()}
    expected = {"monitor", "deliver", "digest", "preview", "rescore", "learn", "publish", "prune"}
    assert flows == expected | {"check_feeds", "watch_drift", "watch_runs"}
    for name in _named():
        found = server.deployment(name)
        assert found["enforce_parameter_schema"], name
        assert found["global_concurrency_limit"]["limit"] == 1, name
        assert found["pull_steps"] in (None, []), name
        assert "tocsin" in found["tags"], name


def test_an_edit_survives_deploying_again_a_restart_and_the_loss_of_parameters(
    server, publish, worker_settings, ask, tmp_path
):
    settings, _ = worker_settings
    server.edit("monitor/monitor", topics=[CABLES], feeds=[publish(2)], dry_run=False, max_age_days=3)
    server.deploy("monitor", pool=POOL)
    server.stop()
    server.start()
    kept = server.deployment("monitor/monitor")["parameters"]
    assert (kept["topics"], kept["max_age_days"]) == ([CABLES], 3)

    first = server.schedule_run("monitor/monitor")
    server.run_worker_once(POOL, **settings)
    used = server.call(f"flow_runs/{first}")
    assert used["state_type"] == "COMPLETED", used["state"]
    assert used["name"].startswith("monitor ")

    # Deployed by other means, Prefect puts its file's parameters in place of the edited ones.
    server.edit("monitor/monitor", feeds=[publish(2)])
    server.schedule_run("monitor/monitor")
    server.run_worker_once(POOL, **settings)
    topics = ask(tmp_path / "data", "SELECT topic FROM current_topics")
    assert [row["topic"] for row in topics] == ["cables"]
    assert ask(tmp_path / "data", "SELECT count(*) AS n FROM runs WHERE state = 'completed'")[0]["n"] == 2


class Watch:
    """`monitor` on a worker that can be taken away, and what Slack and the history hold of its work."""

    name = "monitor/monitor"

    def __init__(self, server, settings, channel, slack):
        self.server, self.settings, self.channel, self.slack = server, settings, channel, slack
        self.worker = None
        self.before = {run["id"] for run in server.runs(self.name)}

    def start_worker(self):
        self.worker = self.server.start_worker(POOL, **self.settings)

    def end_worker(self):
        end(self.worker)

    def run_once(self):
        run_id = self.server.schedule_run(self.name)
        self.settle()
        assert self.ends()[run_id] == "COMPLETED"

    def settle(self):
        """Return when every run has ended."""
        waiting = {"SCHEDULED", "PENDING", "RUNNING"}
        log = self.server.home / "worker.txt"
        wait_for(lambda: not waiting & set(self.ends().values()), what="runs to end", log=log, seconds=240)

    def ends(self):
        runs = self.server.runs(self.name)
        return {run["id"]: run["state_type"] for run in runs if run["id"] not in self.before}

    def miss_server(self):
        """Take the server away until the worker has noticed, and bring it back."""
        self.server.stop()
        log = self.server.home / "worker.txt"
        size = log.stat().st_size
        wait_for(
            lambda: self.worker.poll() is not None or log.stat().st_size > size,
            what="the worker to miss its server",
        )
        self.server.start()

    def told(self):
        return self.slack.alert_ids(self.channel)


@pytest.fixture
def watch(server, worker_settings, slack_emulator):
    settings, channel = worker_settings
    watch = Watch(server, settings, channel, slack_emulator)
    watch.start_worker()
    yield watch
    watch.end_worker()


def test_after_outages_in_turns_one_run_catches_up_and_nothing_is_lost_or_doubled(
    watch, publish, fault_proxy, ask, tmp_path
):
    always = {"topics": [CABLES], "baseline": False, "poll_all": True}
    watch.server.edit(watch.name, feeds=[publish(2)], **always)
    watch.run_once()
    assert len(watch.told()) == 2

    fault_proxy.retry_after, fault_proxy.plan = "1", lambda method: "status:429"
    publish(4)
    watch.run_once()  # Slack is down: what it found waits in the outbox
    assert len(watch.told()) == 2

    publish(6)
    watch.miss_server()
    watch.end_worker()

    # The worker is away for a day, and a run each hour is late.
    publish(8)
    known = set(watch.ends())
    now = datetime.now(UTC)
    watch.server.schedule_past(watch.name, since=now - timedelta(days=1), until=now, minutes=60)
    fault_proxy.plan = lambda method: "pass"
    watch.start_worker()
    watch.settle()
    late = [state for run, state in watch.ends().items() if run not in known]
    assert Counter(late) == {"COMPLETED": 1, "CANCELLED": len(late) - 1}
    assert len(late) >= 24
    assert len(watch.told()) == len(set(watch.told())) == len(HEADLINES)
    data = tmp_path / "data"
    assert ask(data, "SELECT count(*) AS n FROM articles") == [{"n": len(HEADLINES)}]
    assert ask(data, "SELECT DISTINCT state FROM alerts") == [{"state": "delivered"}]


def test_the_operator_is_told_once_when_no_run_of_monitor_completes(
    server, worker_settings, slack_emulator, tmp_path
):
    settings, channel = worker_settings
    (tmp_path / "data").mkdir()
    long_ago = datetime.now(UTC) - timedelta(hours=3)
    with Database(history_path(tmp_path / "data")).write() as con:
        start_run(con, "long-ago", "monitor", now=long_ago)
        finish_run(con, "long-ago", "completed", report={}, now=long_ago)
    server.deploy("watch-runs", pool=POOL, within=10)
    server.pause_schedules("watch_runs/watch-runs")

    # What the automation waits for is what Prefect says of a run of `monitor` that completed.
    run_id = server.schedule_run("monitor/monitor")
    for state in ("RUNNING", "COMPLETED"):
        server.call(f"flow_runs/{run_id}/set_state", {"state": {"type": state}, "force": True})
    [automation] = server.call("automations/filter", {})
    expected = automation["trigger"]["match_related"]
    related = {"role": [expected.pop("prefect.resource.role")], "labels": expected}
    wanted = {"filter": {"event": {"name": automation["trigger"]["expect"]}, "related": related}}
    resource = f"prefect.flow-run.{run_id}"
    wait_for(
        lambda: any(
            event["resource"]["prefect.resource.id"] == resource
            for event in server.call("events/filter", wanted)["events"]
        ),
        what="the event of the completed run",
    )

    fired = len(server.runs("watch_runs/watch-runs"))
    for number in (1, 2):
        wait_for(
            lambda count=fired + number: len(server.runs("watch_runs/watch-runs")) >= count,
            what="the automation",
            log=server.home / "server.txt",
        )
        server.run_worker_once(POOL, **settings)
    (message,) = slack_emulator.messages(channel)
    assert "Monitoring has stopped: the last success was 3 hours ago" in str(message)
