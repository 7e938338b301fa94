"""What Slack's answers mean, as a table."""

from datetime import timedelta

import pytest

from flows.alerts import slack_answers
from flows.alerts.outlet import MESSAGE_FAULTS
from flows.alerts.slack_answers import SlackAnswer, judge_answer
from tocsin.errors import DeliveryDelayed, DeliveryRefused, DeliveryUncertain


def judge(status=200, code=None, **facts):
    return judge_answer(SlackAnswer("chat.postMessage", "policy", status, code, **facts))


@pytest.mark.parametrize(
    ("status", "code", "error", "told"),
    [
        (429, None, DeliveryDelayed, "ratelimited"),
        (200, "rate_limited", DeliveryDelayed, "ratelimited"),
        (500, None, DeliveryUncertain, "http_500"),
        (504, "<html>", DeliveryUncertain, "http_504"),
        (500, "not_in_channel", DeliveryUncertain, "not_in_channel"),
        (200, None, DeliveryUncertain, "malformed"),
        (201, ["x"], DeliveryUncertain, "malformed"),
        (200, "service_unavailable", DeliveryUncertain, "service_unavailable"),
        (404, None, DeliveryRefused, "http_404"),
        (302, "Received a page", DeliveryRefused, "http_302"),
        (200, "not_in_channel", DeliveryRefused, "not_in_channel"),
        (403, "invalid_auth", DeliveryRefused, "invalid_auth"),
    ],
)
def test_an_answer_says_whether_the_alert_was_accepted(status, code, error, told):
    judged = judge(status, code)
    assert (type(judged), judged.code) == (error, told)


def test_retry_after_is_kept_and_said():
    judged = judge(429, retry_after="17")
    assert judged.retry_after == timedelta(seconds=17)
    assert str(judged) == "Slack channel policy: Slack asks to wait 17 s"


@pytest.mark.parametrize(
    "code", sorted({*slack_answers._ADVICE, *MESSAGE_FAULTS, "missing_scope", "unheard_of"})
)
def test_every_refusal_begins_with_what_to_look_at_and_says_what_to_do(code):
    text = str(judge(code=code, needed_scope="chat:write"))
    assert text.startswith(
        ("Slack channel policy: ", "SLACK_BOT_TOKEN: ", "Tocsin's message for", "Slack app's scopes: ")
    )
    assert "{" not in text
    assert code in text or "needs chat:write" in text


def test_codes_that_concern_one_message_all_have_advice():
    assert set(slack_answers._ADVICE) >= MESSAGE_FAULTS
