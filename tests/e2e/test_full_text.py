"""Full text from real sockets to the history: stored where a site allows it, the feed's text elsewhere."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

SENTENCES = [
    "The ministry widened its export controls on chips on Thursday, naming twelve firms.",
    "Two laboratories are named as well, according to the text of the rule.",
    "Exporters of accelerators will need a licence for each shipment from March onwards.",
]
ARTICLE = (
    "<!doctype html><html><head><title>Chips</title></head><body><article><h1>Chip list grows</h1>"
    + "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)
    + "</article></body></html>"
).encode()
PAGES = {
    "/robots.txt": ("text/plain", b"User-agent: *\nDisallow: /forbidden"),
    "/allowed": ("text/html; charset=utf-8", ARTICLE),
    "/forbidden": ("text/html", ARTICLE),
    "/report.pdf": ("application/pdf", b"%PDF-1.7"),
    "/huge": ("text/html", b"<html>" + b"x" * 5_000_000),
}
STORIES = ["/allowed", "/forbidden", "/absent", "/report.pdf", "/huge", "/slow"]


@contextmanager
def serve():
    """Serve a feed of `STORIES` and their pages; gives the base URL and the paths that were asked for."""
    asked, over = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/slow":
                over.wait(60)
                return
            kind, body = PAGES.get(self.path) or ("application/rss+xml", make_feed(self.headers["Host"]))
            self.send_response(404 if self.path == "/absent" else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # a client that hangs up on the huge page does what it should

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def make_feed(host):
    items = "".join(
        f"<item><title>Story {path}</title><link>http://{host}{path}</link><description>In short: {path}."
        f" Read more</description></item>"
        for path in STORIES
    )
    return f"<rss version='2.0'><channel><title>News</title>{items}</channel></rss>".encode()


@pytest.mark.slow
def test_full_text_is_stored_where_allowed_and_nothing_else_is_harmed(run_tocsin, ask, few_topics, tmp_path):
    with serve() as (base, asked):
        done = run_tocsin(
            *("monitor", "--feeds", f"{base}/feed", "--no-baseline", "--full-text"),
            *("--topics", few_topics, "--data", tmp_path, "--json"),
            TOCSIN_ALLOW_NETWORKS="127.0.0.1/32",
        )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["new_articles"], report["full_texts"]) == (6, 1)
    assert report["full_text_failures"] == dict.fromkeys(
        ("robots_forbidden", "http_404", "not_html", "too_big", "timeout"), 1
    )
    assert asked.count("/robots.txt") == 1
    assert "/forbidden" not in asked
    rows = ask(tmp_path, "SELECT title, summary, full_text FROM articles ORDER BY title")
    assert {row["title"]: row["summary"] for row in rows} == {
        f"Story {path}": f"In short: {path}." for path in STORIES
    }
    with_text = [row for row in rows if row["full_text"] is not None]
    assert [row["title"] for row in with_text] == ["Story /allowed"]
    assert all(sentence in with_text[0]["full_text"] for sentence in SENTENCES)
    scored = ask(tmp_path, "SELECT count(DISTINCT article_id) AS articles FROM scores")
    assert scored == [{"articles": 6}]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_pages_are_left_alone_unless_asked_for(run_tocsin, ask, few_topics, tmp_path):
    with serve() as (base, asked):
        done = run_tocsin(
            *("monitor", "--feeds", f"{base}/feed", "--topics", few_topics, "--data", tmp_path, "--json"),
            TOCSIN_ALLOW_NETWORKS="127.0.0.1/32",
        )
    assert done.returncode == 0, done.stderr
    assert asked == ["/feed"]
    assert ask(tmp_path, "SELECT count(full_text) AS texts, count(*) AS articles FROM articles") == [
        {"texts": 0, "articles": 6}
    ]
