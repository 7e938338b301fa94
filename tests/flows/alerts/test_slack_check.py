"""`check_slack` against the emulator: what is in order is said, what is not is named with what is lost."""

from datetime import UTC, datetime

import pytest

from flows.alerts.slack import SlackOutlet
from flows.alerts.slack_check import TEST_TITLE, check_slack
from flows.alerts.slack_scopes import SCOPES, lost_guarantee

ALL = ",".join(scope.name for scope in SCOPES)
NEEDS_SLACK = pytest.mark.slack


@pytest.fixture
def check(slack_emulator, fault_proxy):
    def run(*names, token=None, scopes=ALL, send=False):
        fault_proxy.scopes = scopes
        outlet = SlackOutlet(token or slack_emulator.token, fault_proxy.base_url, timeout=2)
        return check_slack(
            outlet, {name: ["default"] for name in names}, clock=lambda: datetime.now(UTC), send=send
        )

    return run


def problems(found):
    return [(each.subject, each.text) for each in found.findings if each.level == "problem"]


@NEEDS_SLACK
@pytest.mark.parametrize("private", [False, True])
def test_a_workspace_in_order_is_usable_and_nothing_is_sent(check, slack_emulator, private):
    name, channel_id = slack_emulator.create_channel(private=private)
    found = check(name)
    assert found.is_usable, problems(found)
    assert found.scopes == tuple(sorted(ALL.split(",")))
    assert slack_emulator.messages(channel_id) == []


@NEEDS_SLACK
def test_a_test_alert_is_sent_and_read_back(check, slack_emulator):
    name, channel_id = slack_emulator.create_channel()
    found = check(name, send=True)
    assert found.is_usable
    assert found.findings[-1].text == "the test alert was read back by its id"
    (message,) = slack_emulator.messages(channel_id)
    assert TEST_TITLE in message["text"]


@NEEDS_SLACK
def test_a_test_alert_that_lost_its_id_is_a_problem(check, slack_emulator, fault_proxy):
    name, _ = slack_emulator.create_channel()
    asked = []

    def plan(method):
        asked.append(method)
        second = asked.count("conversations.history") == 2
        return 'answer_with:{"ok": true, "messages": []}' if second else "pass"

    fault_proxy.plan = plan
    assert "is not in the channel's history" in problems(check(name, send=True))[0][1]


@NEEDS_SLACK
@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.name)
def test_a_missing_scope_is_named_with_what_is_lost(check, slack_emulator, scope):
    name, _ = slack_emulator.create_channel()
    found = check(name, scopes=ALL.replace(scope.name, ""))
    assert found.missing == (scope.name,)
    assert problems(found) == [("scopes", f"{scope.name} is missing: {scope.loss}")]


@NEEDS_SLACK
def test_without_a_list_of_scopes_the_calls_show_what_is_missing(check, slack_emulator):
    name, _ = slack_emulator.create_channel()
    found = check(name, token=slack_emulator.chat_only_token, scopes=None)
    assert found.scopes is None
    assert "needs channels:read,groups:read" in problems(found)[0][1]


@NEEDS_SLACK
def test_a_token_that_slack_does_not_know_ends_the_check(check, slack_emulator, fault_proxy):
    fault_proxy.plan = lambda method: "error:invalid_auth"
    found = check("general")
    assert [subject for subject, _ in problems(found)] == ["token"]
    assert len(found.findings) == 1


@NEEDS_SLACK
def test_a_slack_that_cannot_be_reached_is_no_matter_of_the_token(check, fault_proxy):
    fault_proxy.plan = lambda method: "drop_request"
    assert [subject for subject, _ in problems(check("general"))] == ["network"]


@NEEDS_SLACK
def test_each_channel_that_cannot_be_used_is_a_problem_and_gets_no_test(check, slack_emulator):
    good, _ = slack_emulator.create_channel()
    archived, archived_id = slack_emulator.create_channel()
    slack_emulator.call("conversations.archive", channel=archived_id)
    stranger, stranger_id = slack_emulator.create_channel(invited=False)
    private, _ = slack_emulator.create_channel(private=True, invited=False)
    found = check(good, archived, stranger, private, "nowhere", send=True)
    named = dict(problems(found))
    assert set(named) == {archived, stranger, private, "nowhere"}
    assert "is archived" in named[archived]
    assert "not a member" in named[stranger]
    assert "private and the app was not invited" in named[private]
    assert slack_emulator.messages(stranger_id) == []


@NEEDS_SLACK
def test_a_history_that_may_not_be_read_costs_the_guarantee(check, slack_emulator, fault_proxy):
    name, _ = slack_emulator.create_channel()
    history = "conversations.history"
    fault_proxy.plan = lambda method: "error:missing_scope" if method == history else "pass"
    ((subject, text),) = problems(check(name))
    assert subject == name
    assert "its history cannot be read" in text
    assert "kept back" in text


def test_the_guarantee_is_lost_only_with_the_history_scope():
    assert lost_guarantee(None) is None
    assert lost_guarantee({"channels:history"}) is None
    assert "channels:history is missing" in lost_guarantee({"chat:write", "groups:history"})
