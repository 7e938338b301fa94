"""Reactions become votes: whose, which, and how few calls that takes."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.alerts import slack_votes
from flows.alerts.compose import compose_message
from flows.alerts.compose_list import compose_list
from flows.alerts.slack import SlackOutlet
from flows.alerts.slack_votes import BallotReader, VoteRules, count_votes

RULES = VoteRules(frozenset({"white_check_mark", "+1"}), frozenset({"x"}))


def reaction(name, *users, count=None):
    return {"name": name, "users": list(users), "count": len(users) if count is None else count}


@pytest.mark.parametrize(
    ("reactions", "votes"),
    [
        ([], ()),
        ([reaction("x", "U2", "U1")], (("U1", False), ("U2", False))),
        ([reaction("white_check_mark", "U1"), reaction("x", "U2")], (("U1", True), ("U2", False))),
        ([reaction("white_check_mark", "U1"), reaction("x", "U1")], ()),
        ([reaction("white_check_mark", "U1"), reaction("+1::skin-tone-3", "U1")], (("U1", True),)),
        ([reaction("tada", "U1")], ()),
        (["nonsense", {"name": "x"}, {"name": "x", "users": [7]}], ()),
        (None, ()),
    ],
)
def test_each_person_has_one_vote_or_none(reactions, votes):
    assert count_votes({"reactions": reactions}, RULES) == votes


@pytest.fixture
def workspace(slack_emulator, fault_proxy, make_alert, now):
    """A channel with two alerts and a list; give its name, id and the messages' times."""
    name, channel_id = slack_emulator.create_channel()
    outlet = SlackOutlet(slack_emulator.token, fault_proxy.base_url, timeout=5)
    sent = [outlet.send(name, compose_message(make_alert(n), now=now)) for n in (1, 2)]
    sent.append(outlet.send(name, compose_list([make_alert(n) for n in (3, 4)], now=now)))
    fault_proxy.seen.clear()
    return name, channel_id, sent, BallotReader(outlet.api, RULES)


def since():
    return datetime.now(UTC) - timedelta(days=7)


@pytest.mark.slack
def test_votes_are_read_back_and_gone_when_taken_back(workspace, slack_emulator, make_alert):
    name, channel_id, (first, _, listed), reader = workspace
    for ts in (first, listed):
        slack_emulator.call("reactions.add", channel=channel_id, timestamp=ts, name="x")
    person = slack_emulator.call("auth.test")["user_id"]
    ballots = {each.alert_id: each.votes for each in reader.read(f"#{name}", since())}
    assert ballots == {make_alert(1).alert_id: ((person, False),), make_alert(2).alert_id: ()}
    slack_emulator.call("reactions.remove", channel=channel_id, timestamp=first, name="x")
    assert all(each.votes == () for each in reader.read(name, since()))


@pytest.mark.slack
def test_a_message_whose_voters_are_not_all_named_is_asked_for_within_bounds(
    workspace, slack_emulator, fault_proxy, monkeypatch
):
    name, channel_id, (first, *_), reader = workspace
    slack_emulator.call("reactions.add", channel=channel_id, timestamp=first, name="x")
    monkeypatch.setattr(slack_votes, "_is_cut_short", lambda message, rules: bool(message.get("reactions")))
    reader.questions = 1
    ballots = list(reader.read(name, since()))
    assert sorted(len(each.votes) for each in ballots) == [0, 1]
    assert [method for method, _ in fault_proxy.seen].count("reactions.get") == 1
    assert [len(each.votes) for each in reader.read(name, since())] == [0]
    assert [method for method, _ in fault_proxy.seen].count("reactions.get") == 1


def test_slack_names_fewer_people_than_it_counts():
    assert slack_votes._is_cut_short({"reactions": [reaction("x", "U1", count=60)]}, RULES)
    assert not slack_votes._is_cut_short({"reactions": [reaction("tada", "U1", count=60)]}, RULES)
    assert not slack_votes._is_cut_short({"reactions": [reaction("x", "U1")]}, RULES)


@pytest.mark.slack
def test_only_so_many_pages_are_read(workspace, fault_proxy, monkeypatch):
    from flows.alerts import slack_api

    monkeypatch.setattr(slack_api, "PAGE", 1)
    monkeypatch.setattr(slack_votes, "MAX_PAGES", 2)
    name, _, _, reader = workspace
    assert len(list(reader.read(name, since()))) == 1  # the newest message is the list
    assert [method for method, _ in fault_proxy.seen].count("conversations.history") == 2
