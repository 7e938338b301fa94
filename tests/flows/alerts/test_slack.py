"""The Slack edge against a real emulator, and what each way of failing becomes."""

import logging
import socket
import traceback
from datetime import timedelta

import pytest

from flows.alerts import slack_api
from flows.alerts.compose import compose_message
from flows.alerts.slack import SlackOutlet
from tocsin.errors import (
    DeliveryDelayed,
    DeliveryError,
    DeliveryRefused,
    DeliveryUncertain,
    SettingsError,
)

pytestmark = pytest.mark.slack
TIMEOUT = 0.3


@pytest.fixture
def outlet(slack_emulator):
    return SlackOutlet(slack_emulator.token, slack_emulator.base_url)


@pytest.fixture
def faulty(slack_emulator, fault_proxy):
    """Make an outlet that reaches Slack through the proxy, with this fault for one method or all."""

    def make(fault, method=None):
        fault_proxy.plan = lambda called: fault if method in {None, called} else "pass"
        return SlackOutlet(slack_emulator.token, fault_proxy.base_url, timeout=TIMEOUT)

    return make


@pytest.fixture
def message(make_alert, now):
    def make(n=1, **changes):
        return compose_message(make_alert(n, **changes), now=now)

    return make


@pytest.fixture
def oldest(now):
    return now - timedelta(days=1)


def test_slack_holds_the_message_as_composed_with_unfurls_and_markup_off(outlet, slack_emulator, message):
    name, channel_id = slack_emulator.create_channel()
    sent = message(title="<!channel> & *bold*")
    ts = outlet.send(name, sent)
    (held,) = slack_emulator.messages(channel_id)
    assert (held["ts"], held["blocks"], held["metadata"]) == (ts, sent.blocks, sent.metadata)
    assert held["text"].startswith("Export controls: &lt;!channel&gt; &amp; *bold*")
    assert (held["unfurl_links"], held["unfurl_media"], held["link_names"]) == (False, False, False)
    assert (held["mrkdwn"], held["parse"]) == (False, "none")


def test_a_channel_may_be_named_with_or_without_a_sign_or_by_its_id(outlet, slack_emulator, message):
    name, channel_id = slack_emulator.create_channel()
    for spelling in (name, f"#{name}", channel_id):
        outlet.send(spelling, message())
    assert len(slack_emulator.messages(channel_id)) == 3


@pytest.mark.parametrize("private", [False, True])
def test_delivered_alerts_are_found_by_a_newcomer_who_knows_only_the_name(
    slack_emulator, message, oldest, private
):
    name, _ = slack_emulator.create_channel(private=private)
    first, second, absent = (message(n) for n in (1, 2, 3))
    sender = SlackOutlet(slack_emulator.token, slack_emulator.base_url)
    expected = {sent.alerts[0].alert_id: sender.send(name, sent) for sent in (first, second)}
    newcomer = SlackOutlet(slack_emulator.token, slack_emulator.base_url)
    wanted = {*expected, absent.alerts[0].alert_id}
    assert newcomer.find_delivered(f"#{name}", wanted, oldest) == expected


def test_only_the_alerts_asked_for_are_found(outlet, slack_emulator, message, oldest):
    name, channel_id = slack_emulator.create_channel()
    outlet.send(name, message(1))
    slack_emulator.call("chat.postMessage", channel=channel_id, text="a person's message")
    stranger = {"event_type": "other_app", "event_payload": {"alert_id": message(2).alerts[0].alert_id}}
    slack_emulator.call("chat.postMessage", channel=channel_id, text="x", metadata=stranger)
    assert outlet.find_delivered(name, {message(2).alerts[0].alert_id}, oldest) == {}


def test_history_is_read_page_by_page_but_no_further_than_needed(
    slack_emulator, fault_proxy, message, oldest, monkeypatch
):
    monkeypatch.setattr(slack_api, "PAGE", 3)
    name, channel_id = slack_emulator.create_channel()
    outlet = SlackOutlet(slack_emulator.token, fault_proxy.base_url)
    expected = {message(n).alerts[0].alert_id: outlet.send(name, message(n)) for n in range(10)}

    def pages(alert_ids, since):
        fault_proxy.seen.clear()
        outlet.find_delivered(channel_id, alert_ids, since)
        return len(fault_proxy.seen)

    assert outlet.find_delivered(channel_id, expected, oldest) == expected
    first, *_, last = expected
    assert (pages({first}, oldest), pages({last}, oldest), pages({"absent"}, oldest)) == (4, 1, 4)
    tomorrow = oldest + timedelta(days=36500)
    assert pages({"absent"}, tomorrow) == 1


def test_an_archived_channel_refuses_and_says_what_to_do(outlet, slack_emulator, message):
    name, channel_id = slack_emulator.create_channel()
    slack_emulator.call("conversations.archive", channel=channel_id)
    with pytest.raises(
        DeliveryRefused, match=rf"^Slack channel {name}: it is archived; unarchive it"
    ) as refused:
        outlet.send(name, message())
    assert refused.value.code == "is_archived"


def test_a_private_channel_without_the_app_refuses_and_says_what_to_do(
    outlet, slack_emulator, message, oldest
):
    name, channel_id = slack_emulator.create_channel(private=True, invited=False)
    with pytest.raises(DeliveryRefused, match=r"not a member; invite it with /invite \(not_in_channel\)"):
        outlet.send(channel_id, message())
    with pytest.raises(DeliveryRefused, match=rf"^Slack channel {name}: it does not exist, or is private"):
        outlet.find_delivered(name, {"x"}, oldest)


def test_a_channel_that_does_not_exist_refuses_posts_and_questions(outlet, message, oldest):
    with pytest.raises(DeliveryRefused, match=r"^Slack channel nowhere: it does not exist"):
        outlet.send("#nowhere", message())
    with pytest.raises(DeliveryRefused, match=r"^Slack channel nowhere: it does not exist"):
        outlet.find_delivered("#nowhere", {"x"}, oldest)


def test_a_missing_scope_is_named(slack_emulator, message, oldest):
    name, channel_id = slack_emulator.create_channel()
    outlet = SlackOutlet(slack_emulator.chat_only_token, slack_emulator.base_url)
    outlet.send(name, message())
    with pytest.raises(
        DeliveryRefused, match=r"^Slack app's scopes: conversations.history .* needs channels:history"
    ):
        outlet.find_delivered(name, {"x"}, oldest)
    with pytest.raises(DeliveryRefused, match=r"conversations.list .* needs channels:read,groups:read"):
        SlackOutlet(slack_emulator.chat_only_token, slack_emulator.base_url).find_delivered(
            name, {"x"}, oldest
        )
    assert len(slack_emulator.messages(channel_id)) == 1


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ("error:invalid_auth", DeliveryRefused, "invalid_auth"),
        ("error:token_revoked", DeliveryRefused, "token_revoked"),
        ("error:invalid_blocks", DeliveryRefused, "invalid_blocks"),
        ("error:msg_too_long", DeliveryRefused, "msg_too_long"),
        ("error:an_error_of_next_year", DeliveryRefused, "an_error_of_next_year"),
        ("status:403", DeliveryRefused, "http_403"),
        ("error:ratelimited", DeliveryDelayed, "ratelimited"),
        ("status:429", DeliveryDelayed, "ratelimited"),
        ("status:500", DeliveryUncertain, "http_500"),
        ("status:503", DeliveryUncertain, "http_503"),
        ("error:internal_error", DeliveryUncertain, "internal_error"),
        ("error:fatal_error", DeliveryUncertain, "fatal_error"),
        ("error:<html> not a code", DeliveryUncertain, "malformed"),
        ("drop_request", DeliveryUncertain, "no_answer"),
        ("drop_response", DeliveryUncertain, "no_answer"),
        ("slow_response", DeliveryUncertain, "no_answer"),
        ("cut_response", DeliveryUncertain, "no_answer"),
        ("malformed", DeliveryUncertain, "malformed"),
        ("accepted_500", DeliveryUncertain, "http_500"),
        ("answer_with:", DeliveryUncertain, "malformed"),
        ("answer_with:null", DeliveryUncertain, "malformed"),
        ("answer_with:[]", DeliveryUncertain, "malformed"),
        ("answer_with:[1]", DeliveryUncertain, "no_answer"),
        ("answer_with:7", DeliveryUncertain, "no_answer"),
        ('answer_with:{"ok": false}', DeliveryUncertain, "malformed"),
        ('answer_with:{"ok": true}', DeliveryUncertain, "malformed"),
        ('answer_with:{"ok": true, "ts": 7}', DeliveryUncertain, "malformed"),
    ],
)
def test_every_way_of_failing_says_whether_it_may_be_sent_again(faulty, message, fault, error, code):
    with pytest.raises(error) as failed:
        faulty(fault).send("general", message())
    assert type(failed.value) is error
    assert failed.value.code == code
    assert str(failed.value).startswith(("Slack", "SLACK_BOT_TOKEN", "Tocsin's message"))


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3), ("0", 0), (" 120 ", 120), (None, 30), ("soon", 30), ("-1", 30)]
)
def test_retry_after_is_taken_exactly(faulty, fault_proxy, message, header, seconds):
    fault_proxy.retry_after = header
    with pytest.raises(DeliveryDelayed) as delayed:
        faulty("status:429").send("general", message())
    assert delayed.value.retry_after == timedelta(seconds=seconds)


def test_a_refused_connection_was_certainly_not_accepted(slack_emulator, message):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outlet = SlackOutlet(slack_emulator.token, f"http://127.0.0.1:{unused.getsockname()[1]}/api/")
        with pytest.raises(DeliveryDelayed, match=r"^Slack's address: no connection"):
            outlet.send("general", message())


@pytest.mark.parametrize(
    "fault", ["drop_request", "drop_response", "slow_response", "status:500", "status:429"]
)
def test_a_post_is_never_repeated_by_the_library(faulty, fault_proxy, message, fault):
    outlet = faulty(fault)
    with pytest.raises((DeliveryUncertain, DeliveryDelayed)):
        outlet.send("general", message())
    assert len(fault_proxy.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        '{"ok": true}',
        '{"ok": true, "messages": null}',
        '{"ok": true, "messages": {}}',
        '{"ok": true, "messages": [], "has_more": true}',
        '{"ok": true, "messages": [], "has_more": true, "response_metadata": {"next_cursor": ""}}',
    ],
)
def test_a_history_that_cannot_be_read_never_means_that_nothing_is_there(faulty, oldest, answer):
    with pytest.raises(DeliveryUncertain):
        faulty(f"answer_with:{answer}").find_delivered("C000000001", {"x"}, oldest)


@pytest.mark.parametrize("fault", ["drop_request", "slow_response", "status:500", "malformed"])
@pytest.mark.parametrize("method", ["conversations.list", "conversations.history"])
def test_a_question_that_fails_is_an_error(faulty, oldest, fault, method):
    with pytest.raises(DeliveryUncertain):
        faulty(fault, method).find_delivered("general", {"x"}, oldest)


@pytest.mark.parametrize(
    "fault",
    [
        "error:invalid_auth",
        "status:429",
        "status:500",
        "drop_request",
        "slow_response",
        "cut_response",
        "malformed",
        "answer_with:[1]",
        "pass",
    ],
)
def test_no_token_appears_in_logs_or_errors(faulty, slack_emulator, message, oldest, caplog, fault):
    caplog.set_level(logging.DEBUG)
    outlet = faulty(fault)
    told = [repr(outlet), repr(vars(outlet))]
    for call in (
        lambda: outlet.send("general", message()),
        lambda: outlet.find_delivered("general", {"x"}, oldest),
    ):
        try:
            told.append(repr(call()))
        except DeliveryError as error:
            told += [str(error), repr(vars(error)), repr(error.__cause__), repr(error.__context__)]
            told += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert len(told) > 2
    assert slack_emulator.token not in "\n".join([*told, caplog.text])
    assert "Bearer" not in caplog.text


@pytest.mark.parametrize(
    "token", ["", "  ", "xoxb-one\nxoxb-two", "xoxb-one two", "xoxb-\u2013dash", "xoxb-\x00"]
)
def test_a_token_that_cannot_be_one_is_refused_unseen(token):
    with pytest.raises(SettingsError, match=r"^SLACK_BOT_TOKEN") as refused:
        SlackOutlet(token)
    assert "xoxb" not in str(refused.value)


def test_a_line_break_after_the_token_is_forgiven(slack_emulator, message):
    outlet = SlackOutlet(f"{slack_emulator.token}\n", slack_emulator.base_url)
    assert outlet.send("general", message())


def test_the_first_answer_tells_which_promise_cannot_be_kept(slack_emulator, fault_proxy, message):
    outlet = SlackOutlet(slack_emulator.token, fault_proxy.base_url)
    outlet.send("general", message(1))
    assert outlet.weakness is None
    fault_proxy.scopes = "chat:write,channels:read"
    outlet.send("general", message(2))
    assert "channels:history is missing" in outlet.weakness
    fault_proxy.scopes = "chat:write,channels:read,channels:history"
    outlet.send("general", message(3))
    assert outlet.weakness is None
