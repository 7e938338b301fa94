"""`tocsin monitor` as a person runs it: one process, Prefect and all."""

import json
import re
from collections import Counter

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slack_run(run_tocsin, slack_emulator, few_topics, tmp_path_factory):
    """Run twice on the sample newsroom with Slack; give the data folder, the two results and the channel."""
    channel, channel_id = slack_emulator.create_channel()
    data = tmp_path_factory.mktemp("monitor") / "data"
    environment = {
        "SLACK_BOT_TOKEN": slack_emulator.token,
        "TOCSIN_SLACK_API_URL": slack_emulator.base_url,
        "TOCSIN_SLACK_CHANNEL": channel,
    }
    first = run_tocsin("monitor", "--topics", few_topics, "--data", data, "--json", **environment)
    assert first.returncode == 0, first.stderr
    second = run_tocsin("monitor", "--data", data, "--json", **environment)
    assert second.returncode == 0, second.stderr
    return data, first, second, channel_id


def report_of(done):
    return json.loads(done.stdout.splitlines()[-1])


def test_the_first_run_reports_what_the_newsroom_serves(slack_run, manifest):
    report = report_of(slack_run[1])
    sound = [feed for feed in manifest["feeds"] if feed["entries"]]
    assert report["feeds"] == len(manifest["feeds"])
    assert report["fetched"] == len(sound)
    assert report["failed"] == len(manifest["feeds"]) - len(sound) == 2
    assert report["entries"] == sum(feed["entries"] for feed in sound)
    assert set(report["seconds"]) >= {"poll", "score", "store", "deliver"}


def test_every_alert_is_one_message_in_slack(slack_run, slack_emulator, ask):
    data, first, _, channel_id = slack_run
    decided = [row["alert_id"] for row in ask(data, "SELECT alert_id FROM alerts")]
    assert report_of(first)["alerts"] == {
        "decided": len(decided),
        "delivered": len(decided),
        "pending": 0,
        "failed": 0,
    }
    assert len(decided) >= 10
    assert Counter(slack_emulator.alert_ids(channel_id)) == Counter(decided)


def parts_of(value):
    """Every object within blocks."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from parts_of(inner)


def test_no_message_pings_a_channel_or_hides_its_link(slack_run, slack_emulator):
    for message in slack_emulator.messages(slack_run[3]):
        assert not re.search(r"<!|<@|<https?:", message["text"])
        markup = [part["text"] for part in parts_of(message["blocks"]) if part.get("type") == "mrkdwn"]
        assert all(re.fullmatch(r"Why this\? `tocsin why \d+`", text) for text in markup)


def test_a_second_run_finds_nothing_new_and_alerts_nothing(slack_run):
    report = report_of(slack_run[2])
    assert report["not_modified"] == report_of(slack_run[1])["fetched"]
    assert report["fetched"] == report["entries"] == report["new_articles"] == 0
    assert report["alerts"] == {"decided": 0, "delivered": 0, "pending": 0, "failed": 0}


def test_a_run_given_no_topics_uses_those_recorded_last(slack_run, ask):
    names = [row["topic"] for row in ask(slack_run[0], "SELECT topic FROM current_topics ORDER BY topic")]
    assert names == ["device_bans", "open_weights"]


def test_the_history_answers_questions(slack_run, ask):
    report = report_of(slack_run[1])
    counts = ask(slack_run[0], "SELECT topic, count(*) AS n FROM matches GROUP BY topic")
    assert {row["topic"]: row["n"] for row in counts} == report["matches"]
    assert ask(slack_run[0], "SELECT count(*) AS n FROM articles") == [{"n": report["new_articles"]}]


def test_failed_feeds_are_in_the_report_and_in_feed_health(slack_run, ask):
    failures = {failure["feed"].split("/")[3]: failure for failure in report_of(slack_run[1])["failures"]}
    assert failures["brittle-times"]["reason"] == "html"
    assert "503" in failures["shuttered-review"]["message"]
    rows = ask(slack_run[0], "SELECT last_reason FROM feed_health WHERE health <> 'ok'")
    assert len(rows) == 2


def test_no_token_reaches_the_log_or_the_screen(slack_run, slack_emulator):
    data, first, second, _ = slack_run
    written = (data / "tocsin.log").read_text() + first.stdout + first.stderr + second.stderr
    assert "feed.fetched" in written
    assert slack_emulator.token not in written


def test_the_screen_holds_no_noise_of_other_libraries(slack_run):
    for done in slack_run[1:3]:
        words = r"(?i)pytorch|uvicorn|prefect\.|nanobind|warning|http request|traceback"
        noise = re.findall(words, done.stderr)
        assert not noise, done.stderr


def test_runs_are_recorded_as_completed_with_their_report(slack_run, ask):
    rows = ask(slack_run[0], "SELECT state, report FROM runs ORDER BY started_at")
    assert [row["state"] for row in rows] == ["completed", "completed"]


def test_a_dry_run_prints_alerts_and_keeps_nothing(run_tocsin, tmp_path, few_topics):
    done = run_tocsin("monitor", "--dry-run", "--topics", few_topics, "--data", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "Open weights" in done.stdout
    assert "Dry run: nothing was kept" in done.stdout
    assert not list((tmp_path / "data").glob("*.duckdb*"))
