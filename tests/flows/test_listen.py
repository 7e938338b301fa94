"""Clicks over a real socket: from Slack's envelope to a label, acknowledged and answered."""

import base64
import hashlib
import json
import struct
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flows.listen import listening, require_tokens, take_clicks
from storage.database import Database
from storage.folder import history_path
from storage.labels import record_ballots
from tocsin.errors import DeliveryRefused, SettingsError
from tocsin.settings import load_settings
from tocsin.types import Ballot

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLICK = {
    "type": "block_actions",
    "user": {"id": "U1"},
    "channel": {"id": "C1"},
    "actions": [{"action_id": "tocsin_irrelevant", "value": "alert-1"}],
}
NO = {"action_id": "tocsin_irrelevant", "value": "alert-1"}
YES = {"action_id": "tocsin_relevant", "value": "alert-1"}


class SlackSocket(ThreadingHTTPServer):
    """Slack as far as Socket Mode goes: gives a socket's address, sends one click, hears what comes back."""

    daemon_threads = True

    def __init__(self, answer_to_open):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer_to_open = answer_to_open
        self.acknowledged, self.whispered = threading.Event(), threading.Event()
        self.heard, self.whisper = None, None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/api/"


class _Handler(BaseHTTPRequestHandler):
    server: SlackSocket

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/api/apps.connections.open":
            told = self.server.answer_to_open(self.server.server_address[1])
        else:
            self.server.whisper = (self.path, json.loads(body))
            told = {"ok": True}
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        if self.server.whisper:
            self.server.whispered.set()

    def do_GET(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.wfile.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        self._send({"type": "hello"})
        self._send({"type": "interactive", "envelope_id": "e-1", "payload": CLICK})
        while not self.server.acknowledged.is_set():
            opcode, content = self._read()
            if opcode == 1:
                self.server.heard = json.loads(content)
                self.server.acknowledged.set()
        self.server.whispered.wait(10)
        self.close_connection = True

    def _send(self, value):
        content = json.dumps(value).encode()
        self.wfile.write(struct.pack("!BBH", 0x81, 126, len(content)) + content)

    def _read(self):
        first, second = self.rfile.read(2)
        length = second & 0x7F
        if length == 126:
            [length] = struct.unpack("!H", self.rfile.read(2))
        mask = self.rfile.read(4)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))

    def log_message(self, *args):
        pass


@pytest.fixture
def slack():
    """Start such a Slack with an answer to the request for a socket."""
    started = []

    def start(answer_to_open=lambda port: {"ok": True, "url": f"ws://127.0.0.1:{port}/socket"}):
        server = SlackSocket(answer_to_open)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.acknowledged.set()
        server.whispered.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Make settings with both tokens for a base URL; the history holds one delivered alert."""
    with Database(history_path(tmp_path)).write() as con:
        con.execute(
            "INSERT INTO alerts (alert_id, article_id, channel, topic, topics, score, title, outlet, "
            "reasons, decided_at, run_id, state, attempts) "
            "VALUES ('alert-1', 7, 'policy', 't', ['t', 'u'], 1, 'x', 'o', '[]', ?, 'r', 'delivered', 1)",
            [NOW],
        )

    def make(base_url):
        monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-test-1")
        monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-test-1")
        monkeypatch.setenv("TOCSIN_SLACK_API_URL", base_url)
        return load_settings(data=tmp_path)

    return make


def _labels(folder):
    with Database(history_path(folder)).read() as con:
        return con.execute("SELECT topic, positive, labelled_by FROM labels ORDER BY ALL").fetchall()


def test_a_click_over_the_socket_becomes_labels_and_is_answered(slack, settings, tmp_path):
    server = slack()
    with listening(settings(server.url), clock=lambda: NOW) as listens:
        assert listens
        assert server.acknowledged.wait(20)
        assert server.whispered.wait(20)
    assert server.heard["envelope_id"] == "e-1"
    assert _labels(tmp_path) == [("t", False, "U1"), ("u", False, "U1")]
    path, said = server.whisper
    assert (path, said["channel"], said["user"]) == ("/api/chat.postEphemeral", "C1", "U1")
    assert "not relevant" in said["text"]


def test_a_token_that_slack_refuses_is_named_and_not_shown(slack, settings):
    server = slack(lambda port: {"ok": False, "error": "invalid_auth"})
    with (
        pytest.raises(DeliveryRefused, match="SLACK_APP_TOKEN") as caught,
        listening(settings(server.url), clock=lambda: NOW),
    ):
        pass
    assert "xapp" not in str(caught.value)


def test_without_an_app_level_token_nobody_listens(tmp_path):
    with listening(load_settings(data=tmp_path), clock=lambda: NOW) as listens:
        assert not listens
    with pytest.raises(SettingsError, match="SLACK_APP_TOKEN"):
        require_tokens(load_settings(data=tmp_path))


def _take(settings, *actions, person="U1"):
    payload = CLICK | {"user": {"id": person}, "actions": list(actions)}
    said = []
    database = Database(history_path(settings("http://127.0.0.1:9/").data))
    take_clicks(database, payload, clock=lambda: NOW, answer=lambda click, text: said.append(text))
    return said


def test_the_same_button_again_takes_the_click_back_and_the_other_turns_it_round(settings, tmp_path):
    _take(settings, NO)
    _take(settings, YES)
    assert {positive for _, positive, _ in _labels(tmp_path)} == {True}
    assert "Taken back" in _take(settings, YES)[0]
    assert _labels(tmp_path) == []


def test_people_click_for_themselves_alone(settings, tmp_path):
    _take(settings, YES, person="U1")
    _take(settings, NO, person="U2")
    assert {(positive, person) for _, positive, person in _labels(tmp_path)} == {(True, "U1"), (False, "U2")}


def test_reading_reactions_leaves_clicks_as_they_are(settings, tmp_path):
    _take(settings, YES)
    with Database(history_path(tmp_path)).write() as con:
        record_ballots(con, [Ballot("alert-1", "policy", ())], NOW)
    assert {positive for _, positive, _ in _labels(tmp_path)} == {True}


def test_a_click_on_an_alert_that_is_gone_is_answered_and_notes_nothing(settings, tmp_path):
    assert "not in the history" in _take(settings, NO | {"value": "unknown"})[0]
    assert _labels(tmp_path) == []


def test_a_history_that_is_held_is_told_to_the_person(settings, tmp_path, monkeypatch):
    path = history_path(tmp_path)
    said = []
    blocked = Database(path.with_name("absent") / "nested" / "x")
    path.with_name("absent").write_text("a file where a folder should be")
    take_clicks(blocked, CLICK, clock=lambda: NOW, answer=lambda click, text: said.append(text))
    assert "try again" in said[0]
