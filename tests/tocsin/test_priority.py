"""Who reads what is published gives way to runs; who holds the database does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tocsin.cli.priority import READERS, is_reader

ROOT = Path(__file__).resolve().parents[2]
_ASK = """
import os, sys, threading
import tocsin.cli as cli

def say(**_):
    found = []
    thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
    thread.start()
    thread.join()
    print(os.sched_getscheduler(0) == os.SCHED_IDLE, found == [os.SCHED_IDLE])

cli.cli.main = say
cli.main()
"""


@pytest.mark.parametrize(
    ("line", "gives_way"),
    [
        (("sql", "SELECT 1"), True),
        (("trends", "--topic", "chips"), True),
        (("report", "--html", "page.html"), True),
        (("search", "chips"), True),
        (("sql", "SELECT 1", "--live"), False),
        (("monitor",), False),
        (("rescore", "--topic", "search"), False),
        ((), False),
    ],
)
def test_only_readers_of_what_is_published_give_way(line, gives_way):
    assert is_reader(line) is gives_way


def test_all_readers_are_commands():
    from tocsin.cli import cli

    assert set(cli.list_commands(None)) >= READERS


@pytest.mark.skipif(sys.platform != "linux", reason="asks as Linux does")
@pytest.mark.parametrize(("command", "gives_way"), [("trends", True), ("status", False)])
def test_a_reader_and_its_threads_have_the_least_priority(command, gives_way):
    if os.sched_getscheduler(0) == os.SCHED_IDLE:
        pytest.skip("these tests have the least priority themselves")
    said = subprocess.run(
        [sys.executable, "-c", _ASK, command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [str(gives_way)] * 2
