"""How long an alert takes under `tocsin serve`: from a feed serving a new entry to Slack holding the message.

Real processes and sockets: an HTTP server with a feed a trial, `tocsin serve` with Prefect, and the Slack
emulator, whose channel is looked at every 0.05 s. A feed's own pace (a minute at the least) is left out: each
trial makes its feed due when its entry appears. Entries are those of the sample newsroom that alert.

    python tests/bench/bench_latency.py [--trials 30] [--json FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from conftest import EMULATOR, SlackEmulator, _running  # noqa: E402

from storage.database import Database  # noqa: E402
from storage.folder import history_path  # noqa: E402

LOOK_EVERY = 0.05  # seconds between looks at the channel: how much too long a time may be
LONGEST = 60.0  # seconds that a trial waits for its alert
_CHOICE = """
    SELECT any_value(title) AS title, any_value(summary) AS summary
    FROM alerts JOIN articles USING (article_id, title) WHERE language = 'en' AND summary <> ''
    GROUP BY story_id ORDER BY story_id
"""


@dataclass
class Trial:
    """Seconds from the entry's appearance to its fetch, and from the fetch to Slack; None: no alert came."""

    title: str
    until_fetched: float | None = None
    until_told: float | None = None


class Feeds(ThreadingHTTPServer):
    """A feed for each trial, empty but for an old entry until its new one is published."""

    daemon_threads = True

    def __init__(self, articles):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.articles = articles
        self.published, self.fetched = {}, {}

    def url(self, number):
        return f"http://127.0.0.1:{self.server_address[1]}/{number}.xml"

    def body(self, number):
        items = [
            _item(
                f"Old entry of feed {number}", "Nothing.", f"old-{number}", datetime(2026, 1, 1, tzinfo=UTC)
            )
        ]
        if number in self.published:
            title, summary = self.articles[number]
            items.append(_item(title, summary, f"new-{number}", datetime.now(UTC)))
            self.fetched.setdefault(number, time.time())
        return f"<rss version='2.0'><channel><title>Feed {number}</title>{''.join(items)}</channel></rss>"


class _Answer(BaseHTTPRequestHandler):
    server: Feeds

    def do_GET(self):
        body = self.server.body(int(self.path.strip("/").removesuffix(".xml"))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/rss+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def _item(title, summary, guid, published_at):
    return (
        f"<item><title>{escape(title)}</title><description>{escape(summary)}</description><guid>{guid}</guid>"
        f"<link>https://example.org/{guid}</link><pubDate>{format_datetime(published_at)}</pubDate></item>"
    )


def choose_articles(folder, environment, count):
    """Take articles from the sample newsroom that alert, one a story: a monitor run finds them."""
    _tocsin("monitor", "--data", folder, "--json", environment=environment)
    rows = json.loads(_tocsin("sql", _CHOICE, "--json", "--data", folder, environment=environment))
    return [(row["title"], row["summary"]) for row in rows[:count]]


def _tocsin(*arguments, environment):
    command = [sys.executable, "-m", "tocsin", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


def run_trials(feeds, database, emulator, channel_id):
    """Publish an entry after the other; each waits for its message, so that none waits for another's."""
    trials = []
    for number, (title, _) in enumerate(feeds.articles):
        trial = Trial(title)
        before = len(emulator.messages(channel_id))
        published_at = feeds.published[number] = time.time()
        _make_due(database, feeds.url(number))
        deadline = time.monotonic() + LONGEST
        while len(messages := emulator.messages(channel_id)) == before and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        seen_at = time.time()  # the emulator's own times are whole seconds
        if len(messages) > before:
            fetched_at = feeds.fetched[number]
            trial.until_fetched = fetched_at - published_at
            trial.until_told = seen_at - fetched_at
        trials.append(trial)
        print(f"  {trial.until_told or -1:6.2f} s  {title[:80]}", flush=True)
    return trials


def _make_due(database, url):
    with database.write() as con:
        con.execute("UPDATE feeds SET next_poll_at = ? WHERE url = ?", [datetime.now(UTC), url])


def _await_baseline(database, count):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(1)
        if database.path.exists():
            with database.read() as con:
                [(polled,)] = con.execute(
                    "SELECT count(*) FROM feeds WHERE baseline_at IS NOT NULL"
                ).fetchall()
            if polled == count:
                return
    raise SystemExit("The feeds were not polled within two minutes")


def measure(folder, count):
    """Run the whole bench in a folder; give the trials."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TOCSIN_", "SLACK_", "PREFECT_"))}
    articles = choose_articles(folder / "choice", clean, count)
    feeds = Feeds(articles)
    threading.Thread(target=feeds.serve_forever, daemon=True).start()
    (folder / "slack").mkdir()
    (folder / "slack" / "seed.json").write_text(json.dumps(SlackEmulator.seed()))
    with _running(str(EMULATOR), folder / "slack") as emulator:
        channel, channel_id = emulator.create_channel()
        environment = clean | {
            "SLACK_BOT_TOKEN": SlackEmulator.token,
            "TOCSIN_SLACK_API_URL": emulator.base_url,
            "TOCSIN_SLACK_CHANNEL": channel,
            "TOCSIN_ALLOW_NETWORKS": "127.0.0.0/8",
        }
        data = folder / "data"
        listed = folder / "feeds.txt"
        listed.write_text("\n".join(feeds.url(number) for number in range(len(articles))))
        command = [
            sys.executable,
            "-m",
            "tocsin",
            "serve",
            "--feeds",
            listed,
            "--data",
            data,
            "--at-least-every",
            "1",
        ]
        with (
            (folder / "serve.log").open("w") as log,
            subprocess.Popen(
                [str(part) for part in command], env=environment, stdout=log, stderr=log
            ) as serving,
        ):
            try:
                database = Database(history_path(data), wait=timedelta(seconds=30))
                _await_baseline(database, len(articles))
                return run_trials(feeds, database, emulator, channel_id)
            finally:
                serving.terminate()
                serving.wait(60)
                feeds.shutdown()


def report(trials):
    """Print the median and the 95th percentile of both parts."""
    told = [trial for trial in trials if trial.until_told is not None]
    print(f"{len(told)} of {len(trials)} entries alerted; 2 cores, load {os.getloadavg()[0]:.1f}")
    waits = {
        "to the fetch": [trial.until_fetched for trial in told],
        "fetch to Slack": [trial.until_told for trial in told],
        "in all": [trial.until_fetched + trial.until_told for trial in told],
    }
    for name, measured in waits.items():
        seconds = sorted(measured)
        p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
        print(
            f"{name:14} median {statistics.median(seconds):.2f} s, p95 {p95:.2f} s, most {seconds[-1]:.2f} s"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-latency-") as folder:
        trials = measure(Path(folder), asked.trials)
    report(trials)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(trial) for trial in trials], indent=1))


if __name__ == "__main__":
    main()
