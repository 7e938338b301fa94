"""Hosts with feeds of known news that may kill who asks them, and what a run makes of these feeds."""

import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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
# The first feed's further entries: so many that a DuckLake makes files of them, and workers embed them.
RESULTS = 220
ARTICLES = len(TITLES) + RESULTS
# By table, the columns that no clock has a part in.
COLUMNS = {
    "feeds": "url, etag, body_hash, failures",
    "fetches": "feed_url, outcome, status, severity, reason, entries, new_articles",
    "articles": "article_id, url, title, summary, outlet, feed_url, language",
    "entries": "feed_url, article_id, guid, title",
    # A score's last bits hang on how many rows a product of matrices has.
    "scores": "article_id, topic, topic_version, head, round(score, 5) AS score",
    "embeddings": "article_id, embedding",
    "story_articles": "article_id, story_id",
    "alerts": "alert_id, channel, state",
}


class Paper(ThreadingHTTPServer):
    """A host with two feeds. The first `kills` requests for its second kill the process that asks."""

    daemon_threads = True

    def __init__(self, number, published):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies = {f"/{n}.xml": _feed(2 * number + n, published) for n in range(2)}
        self.forget()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def urls(self):
        return [f"http://127.0.0.1:{self.server_port}{path}" for path in self.bodies]

    def forget(self, *, kills=0, victim=None):
        """Begin again: nothing was asked, and so many are still to be killed, or `victim` in their place."""
        self.asked, self.killed, self.kills, self.victim = [], [], kills, victim

    def kill_who_asks(self, port):
        owner = self.victim or _process_of(port)
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
    titles = [TITLES[number]]
    if number == 0:
        titles += [f"Result of match {match}: {match % 7} to {match % 5}" for match in range(RESULTS)]
    items = "".join(
        f"<item><title>{title}</title><link>https://paper.example/{number}/{at}</link><guid>{number}-{at}</guid>"
        f"<pubDate>{published}</pubDate><description>{title}, it was said.</description></item>"
        for at, title in enumerate(titles)
    )
    large = f"<!-- {'x' * 300_000} -->" if number == 7 else ""  # so large, a process of its own parses it
    return f"<rss version='2.0'><channel>{large}<title>Paper {number}</title>{items}</channel></rss>".encode()


def _process_of(port):
    """Find the process whose socket has a local port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if int(row[1].split(":")[1], 16) == port}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in inodes:
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(f"no process has port {port}")
