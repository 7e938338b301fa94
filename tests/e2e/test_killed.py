"""A run killed at any point loses nothing and doubles nothing once the next run has ended."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DRIVER = Path(__file__).with_name("driver.py")
STEPS = (
    "begin_run",
    "poll_batch",
    "judge_batch",
    "store_batch",
    "deliver_outbox",
    "read_feedback",
    "finish_run",
)
POINTS = [f"after:{step}" for step in STEPS] + ["before:store_batch", "posted:1", "posted:4"]


@pytest.fixture
def drive(newsroom, few_topics, slack_emulator, clean_environment, tmp_path):
    """Return a function that runs the driver on the newsroom and a new Slack channel up to a kill point."""
    channel, channel_id = slack_emulator.create_channel()
    environment = clean_environment | {
        "SLACK_BOT_TOKEN": slack_emulator.token,
        "TOCSIN_SLACK_API_URL": slack_emulator.base_url,
        "TOCSIN_SLACK_CHANNEL": f"#{channel}",
        "TOCSIN_ALLOW_NETWORKS": "127.0.0.1/32",
        "PYTHONPATH": os.pathsep.join([str(DRIVER.parents[2]), clean_environment.get("PYTHONPATH", "")]),
    }
    feeds = json.dumps([feed.url for feed in newsroom.feeds])

    def drive_to(point):
        command = [sys.executable, DRIVER, tmp_path / "data", feeds, few_topics, point]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        expected = 0 if point == "none" else -signal.SIGKILL
        assert done.returncode == expected, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if point == "none" else None

    drive_to.data = tmp_path / "data"
    drive_to.messages = lambda: slack_emulator.alert_ids(channel_id)
    return drive_to


@pytest.mark.parametrize("point", POINTS)
def test_the_next_run_completes_the_work_of_a_killed_one(drive, ask, point, manifest):
    drive(point)
    report = drive("none")
    assert report["alerts"]["pending"] == report["alerts"]["failed"] == 0
    decided = [row["alert_id"] for row in ask(drive.data, "SELECT alert_id FROM alerts")]
    assert len(decided) >= 10
    assert Counter(drive.messages()) == Counter(decided)
    rows = ask(drive.data, "SELECT count(*) AS n, count(DISTINCT article_id) AS ids FROM articles")
    assert rows == [{"n": rows[0]["ids"], "ids": rows[0]["ids"]}]
    assert rows[0]["n"] == distinct_articles(manifest)
    assert drive("none")["new_articles"] == 0


def distinct_articles(manifest):
    """Count the newsroom's articles: entries less the repeated URLs and the wire copies."""
    wires = [group["entries"] for group in manifest["duplicates"] if group["kind"] == "wire_copy"]
    copies = sum(len(entries) - 1 for entries in wires)
    return len({entry["url"] for entry in manifest["entries"]}) - copies


def test_a_kill_really_happens_where_it_is_meant_to(drive, ask):
    drive("after:store_batch")
    states = ask(drive.data, "SELECT DISTINCT state FROM alerts")
    assert states == [{"state": "pending"}]
    assert ask(drive.data, "SELECT state FROM runs") == [{"state": "running"}]
    assert drive.messages() == []


def test_the_outbox_alone_cannot_know_of_a_message_that_slack_took(drive, ask):
    """Show that `posted:1` is the case that needs Slack's own history: it holds what we never recorded."""
    drive("posted:1")
    assert len(drive.messages()) == 1
    states = ask(drive.data, "SELECT state, count(*) AS n FROM alerts GROUP BY state")
    assert {row["state"]: row["n"] for row in states}["sending"] == 1
    assert "delivered" not in {row["state"] for row in states}
