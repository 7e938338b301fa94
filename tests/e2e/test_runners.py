"""`tocsin monitor` with Dask's worker processes: the same rows as without, also when a worker is killed."""

import json
import os
import signal
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def needs(runner):
    is_absent = find_spec(f"prefect_{runner}") is None
    return pytest.mark.skipif(is_absent, reason=f'it is not installed: pip install "tocsin[{runner}]"')


RUNNERS = [pytest.param(runner, marks=needs(runner)) for runner in ("dask", "ray")]

PAPERS = 4
TITLES = (
    "Parliament bans the Chinese chatbot app from all government phones",
    "Swimming pool reopens after a year of repairs",
    "Laboratory publishes the weights of its newest language model for all to use",
    "Village choir celebrates a hundred years of singing",
    "Ministry orders the removal of a foreign video app from official devices",
    "Start-up releases an open-weight model that rivals closed ones",
    "Grid operator refuses power to a second data centre near the capital",
    "Court strikes down the rule on automated hiring",
)
QUERIES = (
    "SELECT url, etag, body_hash, failures FROM feeds ORDER BY ALL",
    "SELECT feed_url, outcome, status, severity, reason, entries, new_articles FROM fetches ORDER BY ALL",
    "SELECT article_id, url, title, summary, outlet, feed_url, language FROM articles ORDER BY ALL",
    "SELECT feed_url, article_id, guid, title FROM entries ORDER BY ALL",
    # A score's last bits hang on how many rows a product of matrices has.
    "SELECT article_id, topic, topic_version, head, round(score, 5) AS score FROM scores ORDER BY ALL",
    "SELECT article_id, embedding FROM embeddings ORDER BY ALL",
    "SELECT article_id, story_id FROM story_articles ORDER BY ALL",
    "SELECT alert_id, channel, state FROM alerts ORDER BY ALL",
)


class Paper(ThreadingHTTPServer):
    """A host with two feeds. The first `kills` requests for its second kill the process that asks."""

    daemon_threads = True

    def __init__(self, number, published):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies = {f"/{n}.xml": _feed(2 * number + n, published) for n in range(2)}
        self.asked, self.killed, self.kills = [], [], 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def urls(self):
        return [f"http://127.0.0.1:{self.server_port}{path}" for path in self.bodies]

    def kill_who_asks(self, port):
        owner = process_of(port)
        self.killed.append((owner, Path(f"/proc/{owner}/cmdline").read_bytes()))
        os.kill(owner, signal.SIGKILL)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/1.xml" and len(self.server.killed) < self.server.kills:
            self.server.kill_who_asks(self.client_address[1])
            return
        body = self.server.bodies.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/rss+xml")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


def _feed(number, published):
    title = TITLES[number]
    item = (
        f"<item><title>{title}</title><link>https://paper.example/{number}</link><guid>{number}</guid>"
        f"<pubDate>{published}</pubDate><description>{title}, it was said.</description></item>"
    )
    padding = (
        f"<!-- {'x' * 300_000} -->" if number == 7 else ""
    )  # so large, it is parsed in a process of its own
    return (
        f"<rss version='2.0'><channel>{padding}<title>Paper {number}</title>{item}</channel></rss>".encode()
    )


def process_of(port):
    """Find the process whose socket has a local port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if int(row[1].split(":")[1], 16) == port}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in inodes:
                return int(link.parts[2])
        except OSError:
            continue
    pytest.fail(f"no process has port {port}")


@pytest.fixture(scope="module")
def papers():
    published = format_datetime(datetime.now(UTC).replace(microsecond=0), usegmt=True)
    with ExitStack() as stack:
        made = [Paper(number, published) for number in range(PAPERS)]
        for paper in made:
            stack.callback(paper.server_close)
            stack.callback(paper.shutdown)
        yield made


@pytest.fixture(scope="module")
def run_once(run_tocsin, prefect_server, papers, few_topics, tmp_path_factory):
    """Return a function that runs with a task runner; give the result, its report and the data folder."""

    def run(runner, data=None):
        data = data or tmp_path_factory.mktemp(runner) / "data"
        feeds = [url for paper in papers for url in paper.urls]
        refused = ["http://127.0.0.2:9/private.xml", f"http://127.0.0.1:{papers[0].server_port}/none.xml"]
        done = run_tocsin(
            "monitor",
            "--json",
            "--now",
            "--no-baseline",
            *("--data", data, "--topics", few_topics),
            *(part for url in [*feeds, *refused] for part in ("--feeds", url)),
            timeout=400,
            PREFECT_API_URL=prefect_server,
            TOCSIN_ALLOW_NETWORKS="127.0.0.1/32",
            TOCSIN_RUNNER=runner,
            TOCSIN_WORKERS="2",
            TOCSIN_SHARD_FEEDS="3",
            TOCSIN_SHARD_TEXTS="1",
        )
        assert done.stdout, done.stderr
        return done, json.loads(done.stdout.splitlines()[-1]), data

    return run


@pytest.fixture(scope="module")
def alone(run_once):
    return run_once("threads")


def stored(ask, data):
    return [ask(data, query) for query in QUERIES]


@pytest.mark.parametrize("runner", RUNNERS)
def test_two_worker_processes_store_the_same_rows(runner, run_once, alone, ask):
    done, report, data = run_once(runner)
    assert done.returncode == 0, done.stderr
    assert f"crew.started runner={runner} slots=2" in (data / "tocsin.log").read_text()
    assert stored(ask, data) == stored(ask, alone[2])
    assert len(stored(ask, data)[2]) == len(TITLES)
    assert [report[key] for key in ("fetched", "failed", "matches")] == [
        alone[1][key] for key in ("fetched", "failed", "matches")
    ]
    assert report["alerts"]["decided"] == alone[1]["alerts"]["decided"] >= 1
    assert sorted(failure["reason"] for failure in report["failures"]) == ["forbidden_address", "http_404"]


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_killed_workers_shard_is_done_again_once(runner, run_once, alone, papers, ask):
    paper = papers[2]
    paper.asked.clear()
    paper.killed.clear()
    paper.kills = 1
    done, report, data = run_once(runner)
    paper.kills = 0
    assert len(paper.killed) == 1
    assert b"monitor" not in paper.killed[0][1]
    assert done.returncode == 0, done.stderr
    assert report["lost_feeds"] == 0
    assert paper.asked.count("/1.xml") == 2
    assert stored(ask, data) == stored(ask, alone[2])


@needs("dask")
def test_a_shard_that_kills_twice_is_left_for_the_next_run(run_once, alone, papers, ask):
    paper = papers[2]
    paper.killed.clear()
    paper.kills = 2
    done, report, data = run_once("dask")
    assert len(paper.killed) == 2
    assert done.returncode == 1
    assert report["lost_feeds"] >= 2
    assert report["fetched"] + report["failed"] + report["lost_feeds"] == 2 * PAPERS + 2
    assert run_once("dask", data)[0].returncode == 0
    articles = 2
    assert stored(ask, data)[articles] == stored(ask, alone[2])[articles]
