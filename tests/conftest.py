"""A real Slack Web API emulator, and a proxy before it that loses, delays and garbles."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent / "on_ducklake"))
from lake_instead import SWITCH, RedirectAtImport

# No test is timed: machines are noisy, and a slow example is not a wrong one.
hypothesis.settings.register_profile("tocsin", deadline=None)
hypothesis.settings.load_profile("tocsin")

ON_DUCKLAKE = os.environ.get("TOCSIN_TEST_STORAGE") == "ducklake"  # docs/ducklake.md
# These say themselves where their histories lie.
PLACED = ("tests/storage/", "test_ducklake_commands.py", "test_place.py")

if ON_DUCKLAKE:
    sys.meta_path.insert(0, RedirectAtImport)


def pytest_collection_modifyitems(items):
    """Leave out, on DuckLake, what is about the file: the marker says why."""
    for item in items:
        if ON_DUCKLAKE and (about := item.get_closest_marker("duckdb_file")):
            item.add_marker(pytest.mark.skip(reason=f"about the DuckDB file: {about.args[0]}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Have the histories of other tests lie in DuckLake, also those of fixtures for several tests."""
    if ON_DUCKLAKE:
        SWITCH.turn(not any(part in item.path.as_posix() for part in PLACED))


EMULATOR = Path(__file__).parent / "emulator" / "node_modules" / ".bin" / "emulate"
APP_SCOPES = (
    "chat:write",
    "channels:read",
    "channels:history",
    "groups:read",
    "groups:history",
    "reactions:read",
    "files:write",
)
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SlackEmulator:
    """The emulator's address, three tokens, and what tests ask of a workspace.

    `token` has exactly the scopes of our app, `chat_only_token` may post and nothing else. Both belong to a
    user of their own, so that the app is in a private channel only if it was invited.
    """

    token = "xoxb-test-app-0123456789"
    chat_only_token = "xoxb-test-chat-only-0123456789"
    admin_token = "xoxb-test-admin-0123456789"

    def __init__(self, port):
        self.port = port
        self.base_url = f"http://localhost:{port}/api/"

    @classmethod
    def seed(cls):
        manage = ("channels:manage", "groups:write", "reactions:write")
        tokens = [
            {"token": cls.token, "user": "tocsin", "scopes": APP_SCOPES},
            {"token": cls.chat_only_token, "user": "tocsin", "scopes": ["chat:write"]},
            {"token": cls.admin_token, "user": "admin", "scopes": APP_SCOPES + manage},
        ]
        return {"slack": {"strict_scopes": True, "users": [{"name": "tocsin"}], "tokens": tokens}}

    def call(self, method, *, token=None, **arguments):
        """Call a method as the administrator, or with a token; an answer that is not ok fails the test."""
        headers = {"Authorization": f"Bearer {token or self.admin_token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.base_url + method, json.dumps(arguments).encode(), headers)
        with OPENER.open(request, timeout=10) as response:
            answer = json.load(response)
        assert answer["ok"], (method, answer)
        return answer

    def create_channel(self, *, private=False, invited=True):
        """Create a channel of a new name, with the app in it if `invited`, and return `(name, id)`."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        channel_id = self.call("conversations.create", name=name, is_private=private)["channel"]["id"]
        if invited:
            app = self.call("auth.test", token=self.token)["user_id"]
            self.call("conversations.invite", channel=channel_id, users=app)
        return name, channel_id

    def messages(self, channel_id):
        """Return all messages of a channel, oldest first."""
        messages, cursor = [], ""
        while True:
            page = self.call("conversations.history", channel=channel_id, limit=500, cursor=cursor)
            messages += page["messages"]
            cursor = page["response_metadata"]["next_cursor"]
            if not cursor:
                return messages[::-1]

    def alert_ids(self, channel_id):
        """Return the alert ids that the messages of a channel tell, oldest first, also those in lists."""
        payloads = [message["metadata"]["event_payload"] for message in self.messages(channel_id)]
        return [
            alert_id
            for payload in payloads
            for alert_id in payload.get("alert_ids", payload.get("alert_id")).split()
        ]


@pytest.fixture(scope="session")
def slack_emulator(tmp_path_factory):
    """Run the emulator for the whole session on a free port."""
    command = str(EMULATOR) if EMULATOR.exists() else shutil.which("emulate")
    if command is None:
        reason = "the Slack API emulator is not installed: run `make emulator`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    folder = tmp_path_factory.mktemp("slack-emulator")
    (folder / "seed.json").write_text(json.dumps(SlackEmulator.seed()), encoding="utf-8")
    with _running(command, folder) as emulator:
        yield emulator


@contextmanager
def _running(command, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        emulator = SlackEmulator(probe.getsockname()[1])
    arguments = [command, "start", "--service", "slack", "--port", str(emulator.port), "--seed", "seed.json"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_it_answers(emulator, process, folder / "log.txt")
        yield emulator
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(emulator, process, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            emulator.call("auth.test")
            return
        time.sleep(0.1)
    pytest.fail(f"the Slack API emulator did not start:\n{log.read_text(encoding='utf-8')}")


class FaultProxy(ThreadingHTTPServer):
    """Stands before the emulator and does to each request what `plan(method)` says.

    A fault is one of `FAULTS`, or `error:CODE` (Slack's refusal), `answer_with:JSON` (that body), or
    `status:N`. A request held by `late_request` reaches Slack only when `release` is called, long after its
    sender gave up.
    """

    daemon_threads = True
    FAULTS = (
        "drop_request",  # the connection is cut, and Slack never saw the request
        "drop_response",  # Slack did it, and the connection is cut before the answer
        "slow_response",  # Slack did it, and the answer comes after the time-out
        "late_request",  # the request itself reaches Slack after the time-out
        "cut_response",  # Slack did it, and half of the answer arrives
        "malformed",  # Slack did it, and the answer is not JSON
        "status:429",
        "status:500",
        "status:503",
        "accepted_500",  # Slack did it, and a gateway says 500
    )

    def __init__(self, emulator):
        super().__init__(("127.0.0.1", 0), _FaultyExchange)
        self.target = f"http://localhost:{emulator.port}"
        self.base_url = f"http://127.0.0.1:{self.server_port}/api/"
        self.plan = lambda method: "pass"
        self.retry_after = "3"
        self.scopes = None  # what to say of the token's scopes, as Slack does and the emulator does not
        self.seen, self.held, self.errors = [], [], []
        self._idle = threading.Condition()
        self._busy = 0

    def forward(self, path, headers, body):
        """Hand a request to the emulator and return its answer."""
        request = urllib.request.Request(self.target + path, body, headers)
        with OPENER.open(request, timeout=10) as response:
            return response.read()

    def release(self, count=None):
        """Let the first `count` held requests, or all, reach the emulator."""
        for request in self.held[:count]:
            self.forward(*request)
        del self.held[:count]

    def finish(self):
        """Return when every request that was made of the proxy has been dealt with."""
        with OPENER.open(f"http://127.0.0.1:{self.server_port}/", timeout=10):
            pass  # whatever was connected before this has a thread by now
        with self._idle:
            assert self._idle.wait_for(lambda: not self._busy, timeout=10)

    def process_request(self, request, client_address):
        with self._idle:
            self._busy += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        super().process_request_thread(request, client_address)
        with self._idle:
            self._busy -= 1
            self._idle.notify_all()

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            self.errors.append(error)


class _FaultyExchange(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        self._answer(b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kept = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        request = (self.path, kept, body)
        method = self.path.rsplit("/", 1)[-1]
        fault = self.server.plan(method)
        self.server.seen.append((method, fault))
        name, _, argument = fault.partition(":")
        getattr(self, f"_{name}")(request, argument)

    def _pass(self, request, argument):
        self._answer(self.server.forward(*request))

    def _drop_request(self, request, argument):
        self._cut()

    def _drop_response(self, request, argument):
        self.server.forward(*request)
        self._cut()

    def _slow_response(self, request, argument):
        self.server.forward(*request)
        self._wait_for_hang_up()

    def _late_request(self, request, argument):
        self.server.held.append(request)
        self._wait_for_hang_up()

    def _cut_response(self, request, argument):
        answer = self.server.forward(*request)
        self._answer(answer[: len(answer) // 2], length=len(answer))

    def _malformed(self, request, argument):
        self.server.forward(*request)
        self._answer(b"<html>proxy error</html>")

    def _accepted_500(self, request, argument):
        self.server.forward(*request)
        self._answer(b"upstream failed", status=500)

    def _status(self, request, argument):
        limited = argument == "429"
        body = b'{"ok": false, "error": "ratelimited"}' if limited else b"upstream failed"
        self._answer(body, status=int(argument))

    def _error(self, request, argument):
        self._answer(json.dumps({"ok": False, "error": argument}).encode())

    def _answer_with(self, request, argument):
        self._answer(argument.encode())

    def _answer(self, body, *, status=200, length=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if status == 429 and self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        if self.server.scopes is not None:
            self.send_header("X-OAuth-Scopes", self.server.scopes)
        self.end_headers()
        self.wfile.write(body)

    def _cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _wait_for_hang_up(self):
        with suppress(ConnectionError):
            self.connection.recv(1)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def fault_proxy(slack_emulator):
    """Run a proxy that passes everything on until a test gives it a `plan`."""
    with FaultProxy(slack_emulator) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield proxy
        proxy.finish()
        proxy.shutdown()
        thread.join()
        assert not proxy.errors
