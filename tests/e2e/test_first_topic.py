"""The newcomer's walk: every command of docs/first-topic.md as it stands there, and what it promises."""

import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.slack, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "first-topic.md").read_text(encoding="utf-8")
EMULATOR = ROOT / "tests" / "emulator"
BLOCKS = re.findall(r"```(sh|text)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]
PROMISED = [line for kind, text in BLOCKS if kind == "text" for line in text.splitlines()]
SECOND_TERMINAL = next(text for text in COMMANDS if text.startswith("npx "))

# The only commands that are not typed as they stand: what the test's own environment stands for.
REPLACED = {
    "git clone … tocsin && cd tocsin": ":",
    "make run": "tocsin monitor",
    'export PATH="$PWD/.venv/bin:$PATH"': ":",
}


def script(port):
    """Return what is typed in the first terminal."""
    typed = "".join(text for text in COMMANDS if text != SECOND_TERMINAL)
    for line, instead in REPLACED.items():
        assert f"{line}\n" in typed
        typed = typed.replace(f"{line}\n", f"{instead}\n")
    return typed.replace("localhost:4003", f"localhost:{port}")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Give a folder with `tocsin` on its path, as an installed environment has it."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "bin").mkdir()
    command = folder / "bin" / "tocsin"
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m tocsin "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def slack_on_the_desk(clean_environment, desk):
    """Type the second terminal's command, with the pinned emulator and a free port; give the port."""
    program = EMULATOR / "node_modules" / ".bin" / "emulate"
    if not program.exists():
        reason = "the Slack API emulator is not installed: run `make emulator`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    typed = re.sub(r"^npx emulate@\S+", f"exec '{program}'", SECOND_TERMINAL).replace("4003", str(port))
    process = subprocess.Popen(["sh", "-c", typed], cwd=desk, env=clean_environment)
    try:
        wait_until_it_answers(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def look_at(port):
    with urllib.request.urlopen(f"http://localhost:{port}/", timeout=10) as response:
        return response.read().decode()


def wait_until_it_answers(port, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            look_at(port)
            return
        time.sleep(0.1)
    pytest.fail("the Slack API emulator did not start")


@pytest.fixture(scope="module")
def walk(desk, slack_on_the_desk, clean_environment):
    """Type all commands into one shell; give what it printed and the emulator's page."""
    path = f"{desk / 'bin'}{os.pathsep}{clean_environment['PATH']}"
    done = subprocess.run(
        [shutil.which("bash"), "-eu", "-c", script(slack_on_the_desk)],
        cwd=desk,
        env=clean_environment | {"PATH": path, "COLUMNS": "150"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout, look_at(slack_on_the_desk)


def test_every_command_works_and_prints_what_the_page_says_in_that_order(walk):
    lines = iter([line.strip() for line in walk[0].splitlines()])
    assert not [line for line in PROMISED if line.strip() not in lines]  # `in` moves on: the order counts


def test_the_alerts_of_the_new_topic_are_in_slack_once(walk):
    messages = re.findall(r"School phones: ([^<(]+) \(", html.unescape(walk[1]))
    assert sorted(messages) == [
        "Cabinet orders TikTok off every government phone",
        "County bans phones in all its schools from January",
        "From September, phones stay in the locker at Baden's schools",
    ]


def test_tuning_leaves_what_was_wanted(walk):
    assert re.search(r"left_over\s.*?│ 2 +│\s+└", walk[0], re.DOTALL)
    assert "counter_examples +1; threshold empty → 0.9" in walk[0]


def test_what_the_test_stands_in_for_is_what_the_page_types():
    pinned = json.loads((EMULATOR / "package.json").read_text())["dependencies"]["emulate"]
    assert SECOND_TERMINAL.startswith(f"npx emulate@{pinned} ")
    run = re.search(r"^run:.*\n\t@(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert run.startswith("$(BIN)/tocsin monitor ")


def test_the_walk_is_read_and_typed_in_less_than_ten_minutes():
    """At 200 words and 200 characters a minute, nothing pasted."""
    prose = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
    minutes = len(prose.split()) / 200 + sum(map(len, COMMANDS)) / 200
    assert minutes < 10
