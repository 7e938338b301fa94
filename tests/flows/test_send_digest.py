"""`tocsin digest` from the history to Slack: once per channel and period, whatever becomes of the chart."""

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner

from flows.alerts import digest_outlet, slack
from flows.send_digest import DigestRequest, send_digests
from storage.articles import store_articles
from storage.database import Database
from storage.digests import DigestOutbox
from storage.folder import history_path
from storage.scores import ScoreBlock, store_scores
from storage.stories import store_ties
from storage.topics import record_topics
from tocsin.cli.digest import digest as command
from tocsin.errors import SettingsError
from tocsin.settings import load_settings
from tocsin.types import Article, StoryTie, Topic

NOW = datetime.now(UTC)
TOPICS = ("export_controls", "data_privacy")


class Office:
    """A data folder with a week of news, and a channel of Slack."""

    def __init__(self, folder, emulator, base_url, monkeypatch):
        self.emulator, self.now, self.runs, self.waited = emulator, NOW, 0, []
        self.name, self.channel_id = emulator.create_channel()
        environment = {
            "SLACK_BOT_TOKEN": emulator.token,
            "TOCSIN_SLACK_API_URL": base_url,
            "TOCSIN_SLACK_CHANNEL": f"#{self.name}",
            "TOCSIN_DATA": str(folder),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        self.db = Database(history_path(folder))
        self.fill()

    def fill(self):
        topics = [Topic(name=name, description="Something to watch for.") for name in TOPICS]
        articles = [
            Article(n, f"https://news.example/{n}", f"News {n}", "", f"Outlet {n % 3}", "f", at, at)
            for n, at in enumerate((NOW - timedelta(days=n / 2) for n in range(40)), start=1)
        ]
        with self.db.write() as con:
            versions = record_topics(con, topics, run_id="run", now=NOW)
            store_articles(con, "run", articles=articles, sightings=(), keys={})
            store_ties(con, "run", [StoryTie(each.article_id, each.article_id, None) for each in articles])
            values = np.tile(np.array([[0.9, 0.2]], np.float32), (len(articles), 1))
            ids, found = [each.article_id for each in articles], [versions[name] for name in TOPICS]
            store_scores(con, ScoreBlock(ids, TOPICS, found, "rev", ["h", "h"], values), NOW)

    def send(self, **request):
        self.runs += 1
        report = send_digests(
            load_settings(),
            replace(DigestRequest(), **request),
            run_id=f"run-{self.runs}",
            clock=lambda: self.now,
            wait=self.wait,
        )
        return report.digests

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now += timedelta(seconds=seconds)

    def messages(self):
        return self.emulator.messages(self.channel_id)

    def told(self):
        return Counter(message["metadata"]["event_payload"]["digest_id"] for message in self.messages())


@pytest.fixture
def office(tmp_path, slack_emulator, fault_proxy, monkeypatch):
    for name in ("TOCSIN_CONFIG", "TOCSIN_TOPICS", "TOCSIN_OPERATOR_CHANNEL", "TOCSIN_SLACK_WEBHOOK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slack.SlackOutlet.__init__, "__kwdefaults__", QUICK)
    return Office(tmp_path / "data", slack_emulator, fault_proxy.base_url, monkeypatch)


QUICK = {"timeout": 0.5, "pace": timedelta(0), "settle": timedelta(seconds=5)}
pytestmark = pytest.mark.slack


@contextmanager
def faults(proxy, **by_method):
    """Deal these faults, one for each call of a method, with `_` for `.` in its name; then pass."""
    left = {name.replace("_", "."): list(dealt) for name, dealt in by_method.items()}
    proxy.plan = lambda method: left[method].pop(0) if left.get(method) else "pass"
    yield
    proxy.plan = lambda method: "pass"


def test_a_channel_gets_one_message_of_the_week_with_a_chart_once(office):
    (sent,) = office.send()
    assert (sent.state, sent.topics, sent.stories, sent.chart, sent.error) == ("sent", 2, 14, True, None)
    (message,) = office.messages()
    assert [block["type"] for block in message["blocks"]] == ["header", "rich_text", "rich_text", "image"]
    assert message["blocks"][-1]["slack_file"]["id"].startswith("F")
    assert office.told() == {sent.digest_id: 1}
    assert [each.state for each in office.send()] == ["sent_before"]
    assert len(office.messages()) == 1
    (daily,) = office.send(kind="daily")
    assert (daily.state, daily.stories) == ("sent", 2)
    assert len(office.messages()) == 2


@pytest.mark.parametrize(
    "fault",
    [
        "drop_response",
        "slow_response",
        "cut_response",
        "accepted_500",
        "malformed",
        "drop_request",
        "status:429",
    ],
)
def test_a_digest_whose_post_is_in_doubt_is_looked_up_and_never_doubled(office, fault_proxy, fault):
    with faults(fault_proxy, chat_postMessage=[fault]):
        (sent,) = office.send()
    assert sent.state == "sent"
    assert office.told() == {sent.digest_id: 1}


@pytest.mark.parametrize("fault", ["error:missing_scope", "status:500", "drop_response", "status:429"])
@pytest.mark.parametrize("method", ["files_getUploadURLExternal", "files_completeUploadExternal"])
def test_a_digest_whose_chart_cannot_be_uploaded_is_sent_without(office, fault_proxy, method, fault, caplog):
    with faults(fault_proxy, **{method: [fault]}):
        (sent,) = office.send()
    assert (sent.state, sent.chart) == ("sent", False)
    assert [block["type"] for block in office.messages()[0]["blocks"]][-1] == "rich_text"
    assert "digest.chart_left_out" in caplog.text


def test_a_chart_that_slack_still_works_on_is_waited_for(office, fault_proxy):
    with faults(fault_proxy, chat_postMessage=["error:invalid_blocks"]):
        (sent,) = office.send()
    assert (sent.state, sent.chart, office.waited) == ("sent", True, [digest_outlet.IMAGE_PAUSE])
    assert office.messages()[0]["blocks"][-1]["type"] == "image"


def test_a_chart_that_a_message_cannot_show_is_put_into_its_thread(office, fault_proxy):
    refusals = ["error:invalid_blocks"] * digest_outlet.IMAGE_TRIES
    with faults(fault_proxy, chat_postMessage=refusals):
        (sent,) = office.send()
    assert (sent.state, sent.chart) == ("sent", True)
    first = office.messages()[0]
    assert first["blocks"][-1]["type"] == "rich_text"
    answer = office.emulator.call("conversations.replies", channel=office.channel_id, ts=first["ts"])
    (reply,) = answer["messages"][1:]
    assert reply["files"][0]["title"].startswith("Weekly digest")


def test_without_matplotlib_a_digest_is_sent_without_a_chart_and_the_log_says_so(office, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    (sent,) = office.send()
    assert (sent.state, sent.chart) == ("sent", False)
    assert "[charts]" in caplog.text


def test_what_could_not_be_sent_is_sent_when_it_is_asked_for_again_even_a_period_later(office, fault_proxy):
    with faults(fault_proxy, chat_postMessage=["error:is_archived"]):
        (waiting,) = office.send()
    assert waiting.state == "waiting"
    assert "it is archived" in waiting.error
    office.now += timedelta(days=7)
    older, newer = office.send()
    assert (older.digest_id, older.state, newer.state) == (waiting.digest_id, "sent", "sent")
    assert office.told() == {older.digest_id: 1, newer.digest_id: 1}


def test_a_period_before_the_history_began_is_skipped_and_may_be_sent_later(office):
    with office.db.write() as con:
        con.execute("UPDATE articles SET first_seen_at = ?", [office.now])
    (skipped,) = office.send()
    assert (skipped.state, skipped.error) == ("skipped", "the history begins after this period")
    assert office.messages() == []


def test_a_webhook_takes_no_digests(office, monkeypatch):
    monkeypatch.setenv("TOCSIN_TOPICS", "topics.yaml")
    Path("topics.yaml").write_text(
        "- {name: export_controls, description: Something to watch., channel: 'webhook:desk'}\n"
    )
    (skipped,) = office.send()
    assert (skipped.channel, skipped.state) == ("webhook:desk", "skipped")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_and_faults_leave_each_digest_once(office, fault_proxy, monkeypatch, seed):
    rng, record = Random(seed), DigestOutbox.record

    class Killed(BaseException):
        """Stands for a process killed at this point."""

    def mortal_record(self, *deliveries):
        if rng.random() < 0.3:
            raise Killed
        record(self, *deliveries)
        if rng.random() < 0.2:
            raise Killed

    monkeypatch.setattr(DigestOutbox, "record", mortal_record)
    names = ("drop_request", "drop_response", "cut_response", "accepted_500", "malformed", "status:503")
    fault_proxy.plan = lambda method: rng.choice(names) if rng.random() < 0.3 else "pass"
    kills, states = 0, set()
    for _ in range(60):
        try:
            states = {each.state for kind in ("daily", "weekly") for each in office.send(kind=kind)}
        except Killed:
            kills += 1
        if states == {"sent_before"}:
            break
    assert kills
    assert sorted(office.told().values()) == [1, 1]


def test_the_command_shows_sends_and_reports(office):
    def run(*arguments):
        done = CliRunner().invoke(command, list(arguments))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    shown = run("--dry-run")
    assert "Weekly digest: " in shown.output
    assert "shown here, not sent: 14 stories on 2 topics" in shown.output
    assert office.messages() == []
    sent = json.loads(run("--daily", "--json", "--channel", f"#{office.name}").output.splitlines()[-1])
    assert [each["state"] for each in sent["digests"]] == ["sent"]
    assert "was sent before" in run("--daily").output
    with pytest.raises(SettingsError, match="no topic alerts nowhere; topics alert t-"):
        run("--channel", "#nowhere")
    with office.db.read() as con:
        flows = con.execute("SELECT DISTINCT flow, state FROM runs").fetchall()
    assert flows == [("digest", "completed")]


def test_the_flow_takes_the_same_and_a_dry_run_keeps_nothing(office):
    from flows.digest import digest

    report = digest.fn(kind="daily", dry_run=True)
    assert [each.state for each in report.digests] == ["shown"]
    with office.db.read() as con:
        assert con.execute("SELECT count(*) FROM digests").fetchall() == [(0,)]
