"""Webhooks against a real receiver on the loopback: signed, keyed, at least once, never into private nets."""

import hashlib
import hmac
import json
import socket
import threading
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import pytest

from flows.alerts.compose import compose_message
from flows.alerts.deliver import deliver_alerts
from flows.alerts.webhook import JsonWebhookOutlet, SlackWebhookOutlet, UnsetOutlet
from flows.feeds.options import PollOptions
from flows.feeds.post import post_once
from tocsin.errors import DeliveryDelayed, DeliveryRefused, DeliveryUncertain

SECRET = b"correct horse"
OPENED = PollOptions(allow_networks=(ip_network("127.0.0.0/8"),), total_seconds=1.0, read_seconds=0.5)


class Receiver(ThreadingHTTPServer):
    """Keeps what it is posted; `script` holds what to answer: a status, `(status, headers, body)` or cut."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.url = f"http://127.0.0.1:{self.server_port}/services/T0/B0/hidden-in-path"
        self.script, self.requests = [], []


class _Exchange(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((dict(self.headers), body))
        answer = self.server.script.pop(0) if self.server.script else 200
        if answer == "cut":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, b"ok")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def post(receiver):
    return partial(post_once, receiver.url, setting="TOCSIN_WEBHOOK_URL", options=OPENED)


@pytest.fixture
def outlet(post, clock):
    return JsonWebhookOutlet(post, SECRET, clock=clock)


@pytest.fixture
def message(make_alert, now):
    return lambda n=1, **changes: compose_message(make_alert(n, **changes), now=now)


def test_a_receiver_can_verify_the_signature_and_read_the_alert(outlet, receiver, message, clock):
    sent = message(title="Zölle \u2028 <b>", url=None)
    outlet.send("webhook:desk", sent)
    ((headers, body),) = receiver.requests
    signed = headers["Tocsin-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
    assert headers["Tocsin-Signature"] == f"v1={expected}"
    assert int(headers["Tocsin-Timestamp"]) == int(clock().timestamp())
    assert headers["Idempotency-Key"] == sent.alerts[0].alert_id
    value = json.loads(body)
    assert (value["channel"], value["title"], value["url"]) == ("desk", "Zölle \u2028 <b>", None)
    assert value["topics"][0]["topic"] == "export_controls"
    assert SECRET.decode() not in str(headers) + body.decode()


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ("cut", DeliveryUncertain, "no_answer"),
        (500, DeliveryUncertain, "http_500"),
        (503, DeliveryUncertain, "http_503"),
        (408, DeliveryUncertain, "http_408"),
        ((503, {"Retry-After": "7"}, b""), DeliveryDelayed, "ratelimited"),
        ((429, {"Retry-After": "7"}, b""), DeliveryDelayed, "ratelimited"),
        (429, DeliveryDelayed, "ratelimited"),
        (400, DeliveryRefused, "http_400"),
        (410, DeliveryRefused, "http_410"),
        ((302, {"Location": "http://127.0.0.1/"}, b""), DeliveryRefused, "http_302"),
    ],
)
def test_every_answer_says_whether_it_may_be_sent_again(outlet, receiver, message, answer, error, code):
    receiver.script = [answer]
    with pytest.raises(error) as failed:
        outlet.send("webhook:desk", message())
    assert (type(failed.value), failed.value.code) == (error, code)
    assert str(failed.value).startswith("TOCSIN_WEBHOOK_URL")
    assert "hidden-in-path" not in str(failed.value)
    assert len(receiver.requests) == 1


def test_private_addresses_are_refused_unless_they_were_opened(receiver, message, clock):
    closed = partial(post_once, receiver.url, setting="TOCSIN_WEBHOOK_URL", options=PollOptions())
    with pytest.raises(DeliveryRefused, match="not a public address; TOCSIN_ALLOW_NETWORKS"):
        JsonWebhookOutlet(closed, SECRET, clock=clock).send("webhook:desk", message())
    assert receiver.requests == []


def test_a_refused_connection_was_certainly_not_accepted(message, clock):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        post = partial(post_once, url, setting="TOCSIN_WEBHOOK_URL", options=OPENED)
        with pytest.raises(DeliveryDelayed, match="no connection"):
            JsonWebhookOutlet(post, SECRET, clock=clock).send("webhook:desk", message())


def test_alerts_come_at_least_once_with_the_same_key_after_growing_pauses(
    outlet, receiver, make_alert, memory_outbox, clock
):
    receiver.script = ["cut", 500, 503, 200]
    outbox = memory_outbox([make_alert(n, channel="webhook:desk") for n in (1, 2)])
    report = deliver_alerts(
        outbox, lambda _: outlet, clock=clock, wait=clock.wait, max_wait=timedelta(minutes=2)
    )
    assert report.delivered == 2
    keys = [headers["Idempotency-Key"] for headers, _ in receiver.requests]
    first, second = (make_alert(n, channel="webhook:desk").alert_id for n in (1, 2))
    assert keys == [first] * 4 + [second]
    assert clock.waits == [2.0, 4.0, 8.0]


def test_slacks_webhook_takes_the_message_and_says_what_it_lacks(slack_emulator, message):
    url = f"http://127.0.0.1:{slack_emulator.port}/services/T000000001/B000000001/X000000001"
    post = partial(post_once, url, setting="TOCSIN_SLACK_WEBHOOK", options=OPENED)
    outlet = SlackWebhookOutlet(post)
    general = next(
        each["id"]
        for each in slack_emulator.call("conversations.list")["channels"]
        if each["name"] == "general"
    )
    sent = message(title="A headline for the incoming webhook alone")
    outlet.send("anything", sent)
    held = [each for each in slack_emulator.messages(general) if each["text"] == sent.text]
    assert [each["blocks"] for each in held] == [sent.blocks]
    assert "may come twice" in outlet.weakness


def test_slacks_code_is_named(receiver, message, post):
    receiver.script = [(410, {}, b"channel_is_archived")]
    with pytest.raises(DeliveryRefused) as refused:
        SlackWebhookOutlet(post).send("x", message())
    assert refused.value.code == "channel_is_archived"


def test_a_channel_that_names_an_unset_webhook_waits(message):
    with pytest.raises(DeliveryRefused, match="TOCSIN_WEBHOOK_URL: it is not set"):
        UnsetOutlet().send("webhook:desk", message())
