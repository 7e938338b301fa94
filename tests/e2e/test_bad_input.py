"""Bad input gets a clear message and exit code, and nothing already stored is harmed."""

import gzip
import json
import os
import shutil
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

TOPIC = {"name": "cables", "description": "Undersea cables and what happens to them."}


@pytest.fixture
def write_topics(tmp_path):
    def write(content):
        path = tmp_path / "topics.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([TOPIC | {"treshold": 0.5}], "treshold"),
        ([TOPIC | {"threshold": 2.0}], "threshold"),
        ([TOPIC, TOPIC], "cables"),
        ([], "topics.yaml"),
        ("[: not yaml", "topics.yaml"),
    ],
    ids=["unknown field", "threshold 2.0", "twice", "none", "not YAML"],
)
def test_a_wrong_topic_is_bad_usage_and_named(run_tocsin, write_topics, tmp_path, content, message):
    done = run_tocsin("monitor", "--topics", write_topics(content), "--data", tmp_path / "data")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("feeds.opml", "this is not XML", "not XML"),
        ("feeds.opml", "<opml><head/></opml>", "no <body>"),
        ("absent.opml", None, "no such file"),
    ],
)
def test_a_wrong_feed_list_is_bad_usage_and_named(run_tocsin, tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    done = run_tocsin("monitor", "--feeds", path, "--data", tmp_path / "data")
    assert done.returncode == 2
    assert name in done.stderr
    assert message in done.stderr


def test_a_corrupt_database_is_named_and_left_as_it_is(run_tocsin, tmp_path):
    path = tmp_path / "tocsin.duckdb"
    path.write_bytes(b"not a database" * 1000)
    for command in (["monitor"], ["sql", "SELECT 1", "--live"]):
        done = run_tocsin(*command, "--data", tmp_path)
        assert done.returncode == 1
        assert "tocsin.duckdb" in done.stderr
        assert "Traceback" not in done.stderr
    assert path.read_bytes() == b"not a database" * 1000


def test_a_data_folder_that_cannot_be_written_is_named(run_tocsin, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_tocsin("monitor", "--data", tmp_path / "file" / "data")
    assert done.returncode == 2
    assert "file/data" in done.stderr


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs setpriv and root")
def test_a_read_only_data_folder_is_named(clean_environment, tmp_path):
    import subprocess
    import sys

    folder = tmp_path / "data"
    folder.mkdir(mode=0o555)
    for parent in [*tmp_path.parents][:3]:
        parent.chmod(0o755)
    command = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-m", "tocsin", "monitor"]
    if subprocess.run([*command[:4], "-c", "pass"], check=False, capture_output=True).returncode:
        pytest.skip("this Python cannot be run by another user")
    done = subprocess.run(
        [*command, "--data", folder],
        env=clean_environment | {"HOME": str(tmp_path)},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "data" in done.stderr
    assert "Permission denied" in done.stderr


def test_sql_without_a_history_says_how_to_get_one(run_tocsin, tmp_path):
    done = run_tocsin("sql", "SELECT 1", "--data", tmp_path)
    assert done.returncode == 1
    assert "tocsin monitor" in done.stderr


RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Good</title><item>
<title>Parliament bans the app from all official phones</title><link>https://good.example/1</link>
<guid>https://good.example/1</guid></item></channel></rss>"""


@contextmanager
def serving(answers):
    """Serve bodies by path; each is (headers, body) or a number for a bare status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            headers, body = answers[self.path]
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_bad_feeds_are_values_and_the_rest_of_the_run_is_unharmed(run_tocsin, ask, few_topics, tmp_path):
    big = RSS.replace(b"</channel>", b"<!--" + b"x" * 10_000_000 + b"--></channel>")
    bodies = {
        "/good": ({"Content-Type": "application/rss+xml"}, RSS),
        "/html": ({"Content-Type": "text/html"}, b"<!doctype html><html><body>Welcome</body></html>"),
        "/truncated": ({"Content-Encoding": "gzip"}, gzip.compress(RSS * 50)[:-200]),
        "/big": ({"Content-Type": "application/rss+xml"}, big),
    }
    with serving(bodies) as base:
        unreachable = "http://127.0.0.1:9/feed"
        sources = [*(base + path for path in bodies), unreachable, "http://127.0.0.2:9/forbidden"]
        feeds = [argument for source in sources for argument in ("--feeds", source)]
        done = run_tocsin(
            *("monitor", *feeds, "--no-baseline", "--topics", few_topics, "--data", tmp_path, "--json"),
            TOCSIN_ALLOW_NETWORKS="127.0.0.1/32",
        )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["fetched"] == 1
    assert report["new_articles"] == 1
    reasons = {failure["feed"]: failure["reason"] for failure in report["failures"]}
    assert reasons[f"{base}/html"] == "html"
    assert reasons[f"{base}/big"] == "too_big"
    assert len(reasons) == 5
    stored = ask(tmp_path, "SELECT feed_url, message FROM fetches WHERE outcome = 'failed'")
    assert {row["feed_url"] for row in stored} == set(reasons)
    assert all(row["message"] for row in stored)


@pytest.mark.slow
def test_a_run_in_which_every_feed_failed_has_failed(run_tocsin, tmp_path):
    done = run_tocsin(
        *("monitor", "--feeds", "http://127.0.0.1:9/feed", "--data", tmp_path, "--json"),
        TOCSIN_ALLOW_NETWORKS="127.0.0.1/32",
    )
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["failed"] == 1
