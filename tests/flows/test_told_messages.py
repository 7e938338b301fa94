"""A told story in Slack: its message names later outlets, and developments are posted in its thread."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from flows.alerts.deliver import deliver_alerts
from flows.alerts.outlet import THREAD_FAULTS
from flows.alerts.slack import SlackOutlet, read_thread
from flows.feeds.options import PollOptions
from flows.run import MonitorOptions, MonitorRun
from flows.tell import deliver_outbox
from storage.alerts import DuckOutbox, outbox_counts, store_alerts
from storage.articles import store_articles
from storage.database import Database
from storage.stories import store_ties
from tocsin.types import Alert, Article, Reason, StoryTie

pytestmark = pytest.mark.slack
START = datetime.now(UTC)


class Desk:
    """A history, a channel, and what happens to both, some minutes apart."""

    def __init__(self, path, emulator, base_url):
        self.db, self.emulator, self.base_url = Database(path), emulator, base_url
        self.name, self.channel_id = emulator.create_channel()
        self.now, self.runs, self.articles = START, 0, 0

    def publish(self, *outlets, story=1):
        """Put articles of a story into the history, one for each outlet."""
        ids = range(self.articles + 1, self.articles + 1 + len(outlets))
        self.articles += len(outlets)
        articles = [
            Article(n, f"https://news.example/{n}", "Chip rules widen", "", outlet, "f", None, self.now)
            for n, outlet in zip(ids, outlets, strict=True)
        ]
        with self.db.write() as con:
            store_articles(con, "run", articles=articles, sightings=(), keys={})
            store_ties(con, "run", [StoryTie(n, story, None) for n in ids])

    def decide(self, cause="story", *, story=1, topic="export_controls"):
        """Decide an alert about the article that came last."""
        alert = Alert(
            alert_id=f"{story}-{cause}-{self.articles}",
            article_id=self.articles,
            channel=self.name,
            title=f"Chip rules widen ({self.articles})",
            url=f"https://news.example/{self.articles}",
            outlet="Alpha",
            published_at=self.now,
            decided_at=self.now,
            reasons=(Reason(topic, 0.9, ""),),
            story_id=story,
            cause=cause,
        )
        with self.db.write() as con:
            store_alerts(con, "run", [alert])
        return alert.alert_id

    def run(self, *, minutes=11, base_url=None):
        self.now += timedelta(minutes=minutes)
        self.runs += 1
        outlet = SlackOutlet(
            self.emulator.token,
            base_url or self.base_url,
            timeout=0.3,
            pace=timedelta(0),
            settle=timedelta(0),
        )
        options = MonitorOptions(
            (), None, self.name, self.name, PollOptions(), update_every=timedelta(minutes=10)
        )
        run = MonitorRun(
            db=self.db,
            options=options,
            outlet_for=lambda _: outlet,
            clock=lambda: self.now,
            run_id=f"run-{self.runs}",
        )
        deliver_outbox(run)
        return run.report

    def shown(self):
        """Return the messages of the channel as text, and what each carries."""
        found = []
        for message in self.emulator.messages(self.channel_id):
            parts = [
                element["text"] for part in message["blocks"][0]["elements"] for element in part["elements"]
            ]
            found.append(("".join(parts), message["metadata"]["event_payload"]["alert_id"]))
        return found

    def replies(self, ts):
        answer = self.emulator.call("conversations.replies", channel=self.channel_id, ts=ts)
        return [message for message in answer["messages"] if message["ts"] != ts]

    def told(self):
        """Count how often each alert is told, in the channel and in threads."""
        found = Counter()
        for message in self.emulator.messages(self.channel_id):
            for each in (message, *self.replies(message["ts"])):
                found[each["metadata"]["event_payload"]["alert_id"]] += 1
        return found

    def updates(self):
        with self.db.read() as con:
            return con.execute("SELECT state, shown, error FROM message_updates").fetchall()


@pytest.fixture
def desk(tmp_path, slack_emulator, fault_proxy):
    return Desk(tmp_path / "tocsin.duckdb", slack_emulator, fault_proxy.base_url)


def test_a_message_names_the_outlets_that_came_later_and_stays_the_same_message(desk):
    desk.publish("Alpha")
    alert_id = desk.decide()
    desk.run()
    ((before, carried),) = desk.shown()
    assert "also in" not in before
    desk.publish("Beta", "Gamma")
    assert desk.run(minutes=5).updated_messages == 0  # it was sent five minutes ago
    assert desk.run(minutes=5).updated_messages == 1
    assert desk.shown() == [(f"{before}\nalso in Beta and Gamma", alert_id)]
    assert carried == alert_id
    assert desk.run().updated_messages == 0
    desk.publish("Delta", "Epsilon", "beta")
    assert desk.run().updated_messages == 1
    assert desk.shown()[0][0].endswith("\nalso in Beta, Delta, Epsilon and 1 more, 5 outlets")
    assert desk.updates() == [("shown", 5, None)]


@pytest.mark.parametrize(
    "fault", ["drop_request", "drop_response", "slow_response", "cut_response", "accepted_500", "status:503"]
)
def test_an_update_in_doubt_is_repeated_by_a_later_run_until_it_is_shown(
    desk, fault_proxy, monkeypatch, fault
):
    monkeypatch.setattr("flows.tell.MAX_UPDATE_WAIT", timedelta(0))
    desk.publish("Alpha")
    desk.decide()
    desk.run()
    desk.publish("Beta")
    fault_proxy.plan = lambda method: fault if method == "chat.update" else "pass"
    assert desk.run().updated_messages == 0
    assert [(state, shown) for state, shown, _ in desk.updates()] == [("pending", None)]
    fault_proxy.plan = lambda method: "pass"
    assert desk.run().updated_messages == 1
    assert len(desk.shown()) == 1
    assert desk.shown()[0][0].endswith("also in Beta")


def test_a_message_that_people_deleted_ends_its_updates_quietly(desk, slack_emulator):
    desk.publish("Alpha")
    desk.decide()
    desk.run()
    (message,) = slack_emulator.messages(desk.channel_id)
    slack_emulator.call("chat.delete", token=slack_emulator.token, channel=desk.channel_id, ts=message["ts"])
    desk.publish("Beta")
    report = desk.run()
    assert (report.updated_messages, report.delivery_errors, report.succeeded) == (0, [], True)
    ((state, _, error),) = desk.updates()
    assert state == "ended"
    assert "somebody deleted it (message_not_found)" in error
    desk.publish("Gamma")
    desk.run()
    assert desk.updates() == [(state, None, error)]


@pytest.mark.parametrize("cause", ["topic", "coverage"])
def test_a_development_is_posted_in_the_thread_of_the_storys_message_and_seen_in_the_channel(
    desk, slack_emulator, cause
):
    desk.publish("Alpha")
    desk.decide()
    desk.run()
    (first,) = slack_emulator.messages(desk.channel_id)
    desk.publish("Beta")
    development = desk.decide(cause, topic="us_china_rivalry")
    desk.run()
    (reply,) = desk.replies(first["ts"])
    assert reply["metadata"]["event_payload"] == {"alert_id": development}
    assert (reply["thread_ts"], reply["reply_broadcast"]) == (first["ts"], True)


def test_a_development_that_waited_with_its_story_follows_it_into_its_thread(desk, slack_emulator):
    desk.publish("Alpha")
    desk.decide()
    desk.publish("Beta")
    development = desk.decide("topic")
    assert desk.run().alerts.delivered == 2
    (first,) = slack_emulator.messages(desk.channel_id)
    assert [each["metadata"]["event_payload"]["alert_id"] for each in desk.replies(first["ts"])] == [
        development
    ]


@pytest.mark.parametrize("code", sorted(THREAD_FAULTS))
def test_a_development_whose_thread_is_gone_stands_by_itself(desk, slack_emulator, fault_proxy, code):
    desk.publish("Alpha")
    desk.decide()
    desk.run()
    desk.publish("Beta")
    development = desk.decide("topic")
    refusals = [f"error:{code}"]
    fault_proxy.plan = lambda method: refusals.pop() if method == "chat.postMessage" and refusals else "pass"
    assert desk.run().succeeded
    assert [carried for _, carried in desk.shown()][1:] == [development]
    with desk.db.read() as con:
        assert outbox_counts(con)["delivered"] == 2


class Killed(BaseException):
    """Stands for a process killed at this point."""


class Mortal(DuckOutbox):
    """An outbox whose process may die right after a message was accepted, before that is recorded."""

    def __init__(self, database, rng):
        super().__init__(database)
        self.rng = rng

    def record(self, *deliveries):
        if deliveries[0].state == "delivered" and self.rng.random() < 0.25:
            raise Killed
        super().record(*deliveries)


def decide_developments(desk):
    """Decide six stories with two developments each; give the ids."""
    expected = []
    for story in range(1, 7):
        desk.publish("Alpha", story=story)
        expected.append(desk.decide(story=story))
        for topic in ("us_china_rivalry", "ai_safety"):
            desk.publish("Beta", story=story)
            expected.append(desk.decide("topic", story=story, topic=topic))
    return expected


def deliver_through_faults(desk, fault_proxy, rng):
    """Deliver until nothing is left, through kills and faults, and give how often each alert was told."""
    faults = ("drop_response", "drop_request", "cut_response", "accepted_500", "malformed")
    fault_proxy.plan = lambda method: rng.choice(faults) if rng.random() < 0.35 else "pass"
    counts, kills = {"delivered": 0, "pending": 1}, 0
    while counts["delivered"] < sum(counts.values()):
        outlet = SlackOutlet(
            desk.emulator.token, desk.base_url, timeout=0.3, pace=timedelta(0), settle=timedelta(0)
        )
        desk.now += timedelta(hours=1)
        try:
            deliver_alerts(
                Mortal(desk.db, rng),
                lambda _, outlet=outlet: outlet,
                clock=lambda: desk.now,
                wait=lambda seconds: setattr(desk, "now", desk.now + timedelta(seconds=seconds)),
                max_wait=timedelta(minutes=5),
            )
        except Killed:
            kills += 1
        with desk.db.read() as con:
            counts = outbox_counts(con)
    fault_proxy.plan = lambda method: "pass"
    assert kills
    assert "conversations.replies" in {method for method, _ in fault_proxy.seen}
    return desk.told()


@pytest.mark.parametrize("seed", [1, 2])
def test_developments_arrive_exactly_once_though_network_and_process_fail(desk, fault_proxy, seed):
    expected = decide_developments(desk)
    assert deliver_through_faults(desk, fault_proxy, Random(seed)) == Counter(expected)


def test_the_same_run_that_reads_no_threads_doubles_developments(desk, fault_proxy, monkeypatch):
    def read_in_vain(*arguments):
        list(read_thread(*arguments))
        return iter(())

    monkeypatch.setattr("flows.alerts.slack.read_thread", read_in_vain)
    expected = decide_developments(desk)
    told = deliver_through_faults(desk, fault_proxy, Random(1))
    assert set(told) == set(expected)
    assert max(told.values()) > 1
