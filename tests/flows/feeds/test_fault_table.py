"""The table of faults in docs/polling.md is what the loopback server of faults really brings about."""

import asyncio
import gzip
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

from flows.feeds.poll import poll_feeds
from flows.feeds.schedule import schedule_poll
from tocsin.errors import FeedError
from tocsin.types import Feed, FeedState, FetchFailed, NotModified, Validators

PAGE = Path(__file__).resolve().parents[3] / "docs" / "polling.md"
BEGIN, END = "<!-- faults: checked by tests/flows/feeds/test_fault_table.py -->\n", "<!-- end of faults -->"
BODY = b"<rss version='2.0'><channel><title>x</title><item><title>y</title></item></channel></rss>"
STATUSES = [204, 206, 304, 400, 401, 402, 403, 404, 406, 408, 410, 418, 421, 425, 429, 451]
STATUSES += [500, 501, 502, 503, 504, 511, 520, 522, 530, 599]
# Small, so that the test is fast; the table names the defaults in their place.
LIMITS = {
    "allow_networks": (ip_network("127.0.0.1/32"),),
    "read_seconds": 0.3,
    "total_seconds": 0.8,
    "max_body_bytes": 50_000,
}


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\nConnection: close\r\n\r\n" + body


def sends(answer: bytes):
    return lambda connection: connection.send(answer)


def drips(connection):
    connection.send(raw("HTTP/1.1 200 OK\nContent-Length: 1000"))
    connection.drip(*[b"x"] * 100, pause=0.1)


def drips_headers(connection):
    connection.send(b"HTTP/1.1 200 OK\r\n")
    connection.drip(*[b"X-A: b\r\n"] * 100, pause=0.1)


def never_ends(connection):
    connection.send(raw("HTTP/1.1 200 OK"))
    for _ in range(500):
        connection.send(b"x" * 10_000)


def lies(connection):
    head = "HTTP/1.1 304 Not Modified" if "if-none-match" in connection.seen.headers else "HTTP/1.1 200 OK"
    connection.send(raw(head, BODY if "200" in head else b""))


OK = "HTTP/1.1 200 OK\n"
GZIP = OK + "Content-Encoding: gzip\n"
SCRIPTS = {
    "connection closed without an answer": sends(b""),
    "answer that is not HTTP": sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "headers never come": lambda connection: connection.hang(2.0),
    "headers drip without end": drips_headers,
    "headers of 280 KB": sends(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 35_000),
    "body drips without end": drips,
    "body cut short of its length": sends(raw(OK + "Content-Length: 500", BODY)),
    "body cut within a chunk": sends(raw(OK + "Transfer-Encoding: chunked", b"ff\r\nabc")),
    "two different lengths": sends(raw(OK + "Content-Length: 5\nContent-Length: 9", BODY)),
    "body longer than its length": sends(raw(OK + f"Content-Length: {len(BODY)}", BODY + b"more")),
    "body that never ends": never_ends,
    "gzip announced, plain sent": sends(raw(GZIP + f"Content-Length: {len(BODY)}", BODY)),
    "gzip cut short": sends(raw(GZIP + "Content-Length: 60", gzip.compress(BODY)[:60])),
    "gzip bomb": sends(raw(GZIP.rstrip(), gzip.compress(bytes(5_000_000)))),
    "empty body": sends(raw(OK + "Content-Length: 0")),
    "web page instead of a feed": sends(raw(OK.rstrip(), b"<html><body>Hello</body></html>")),
}
REDIRECTS = {
    "redirect loop": "/redirect/0",
    "redirect without location": None,
    "redirect to a private address": "http://10.0.0.1/feed",
    "redirect to a cloud's metadata": "http://169.254.169.254/latest",
    "redirect to `file:`": "file:///etc/passwd",
    "redirect to `ftp:`": "ftp://127.0.0.1/feed",
    "redirect to https, no TLS there": "https://127.0.0.1:{port}/feed",
}


async def rebinds(host, port, answers=iter([["127.0.0.1"], ["10.0.0.1"]])):  # noqa: B008  one test, one use
    return next(answers)


def fails(reason):
    async def resolve(host, port):
        raise FeedError(reason, f"Host name {host} cannot be resolved")

    return resolve


def outcomes_of_faults(server, poll_one):
    """Give (fault, state before, polled) for every fault."""
    yield "connection refused", *poll_one(server.url("/", host="127.0.0.1").replace(str(server.port), "1"))
    yield "name unknown", *poll_one("http://unknown.example/", resolve=fails("dns_unknown"))
    yield "name server out of order", *poll_one("http://unsure.example/", resolve=fails("dns_failed"))
    server.reply("/moving", status=302, location="/secret", connection="close")
    url = f"http://rebind.example:{server.port}/moving"
    yield "name that changes to a private address", *poll_one(url, resolve=rebinds)
    for name, script in SCRIPTS.items():
        yield name, *poll_one(server.script(f"/{name.replace(' ', '-')}", script))
    for number, (name, location) in enumerate(REDIRECTS.items()):
        headers = {"location": location.format(port=server.port)} if location else {}
        yield name, *poll_one(server.reply(f"/redirect/{number}", status=302, **headers))
    for status in STATUSES:
        yield f"status {status}", *poll_one(server.reply(f"/{status}", status=status))
    for status in (429, 503):
        url = server.reply(f"/{status}-later", status=status, retry_after="7200")
        yield f"status {status}, Retry-After 2 h", *poll_one(url)
    server.reply("/moved", BODY)
    yield "permanent redirect", *poll_one(server.reply("/old", status=301, location="/moved"))
    yield "304 though there are new entries", *poll_one(server.script("/lies", lies), has_304s=True)


def make_poll_one(options, now):
    def poll_one(url, *, has_304s=False, **how):
        state = FeedState(url)
        if has_304s:
            week, hour = timedelta(days=7), timedelta(hours=1)
            known = {"full_fetch_at": now - week, "succeeded_at": now - hour, "baseline_at": now - week}
            rhythm = {"last_new_at": now, "entry_gap": hour}
            state = FeedState(url, validators=Validators(url, '"1"'), body_hash="x", **known, **rhythm)
        polled = asyncio.run(poll_feeds([(Feed(url), state)], clock=lambda: now, options=options, **how))
        return state, polled[0]

    return poll_one


def describe(fault, state, polled, now):
    """Give the row of a fault: outcome, what the operator sees, and when the feed is polled next."""
    seen_share = None if isinstance(polled.outcome, NotModified | FetchFailed) else 0.5
    after = schedule_poll(state, polled, now=now, seen_share=seen_share)
    outcome, sees = "success", "nothing"
    if isinstance(polled.outcome, FetchFailed):
        outcome, sees = f"{polled.outcome.severity}, `{polled.outcome.reason}`", polled.outcome.message
    elif after.distrust_304_at:
        sees = "`distrust_304_at` in `feed_health`: asked unconditionally from now on"
    elif after.redirect_to:
        sees = "nothing yet; `moved_to` in `feed_health` after three such polls over a day"
    if after.gone_at:
        sees += "; health `gone`, and a warning at once"
    return f"| {fault} | {outcome} | {sees} | {delays(after, polled, now)} |"


def delays(state, polled, now):
    first = state.next_poll_at - now
    if not isinstance(polled.outcome, FetchFailed):
        return "by its rhythm"
    for _ in range(30):
        state = schedule_poll(state, polled, now=now)
    last = state.next_poll_at - now
    return f"{span(first)}, growing to {span(last)}" if last > first else span(first)


def span(delay):
    minutes = delay / timedelta(minutes=1)
    return f"{minutes / 60:g} h" if minutes >= 60 else f"{minutes:g} min"


def test_the_table_of_faults_is_what_happens(server, make_options, now):
    options = make_options(**LIMITS)
    poll_one = make_poll_one(options, now)
    rows = [describe(*row, now) for row in outcomes_of_faults(server, poll_one)]
    urls = [server.reply(f"/storm/{number}", status=429) for number in range(3)]
    storm = [(Feed(url), FeedState(url)) for url in urls]
    polled = asyncio.run(poll_feeds(storm, clock=lambda: now, options=make_options(per_host=1)))
    rows.append(describe("429 storm: the other feeds of the host", storm[2][1], polled[2], now))
    assert [seen.path for seen in server.requests if "storm" in seen.path] == ["/storm/0"]
    head = ["| fault | outcome | what the operator sees | next poll |", "|---|---|---|---|"]
    table = "\n".join([*head, *rows, ""])
    for here, by_default in ((str(server.port), "8080"), ("0.8 s", "30 s"), ("0.0477 MiB", "8 MiB")):
        table = table.replace(here, by_default)
    written = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert written == table, f"docs/polling.md should hold:\n{table}"
