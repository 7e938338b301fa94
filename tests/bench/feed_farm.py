"""Generated feeds behind a real nginx on many loopback addresses; the same seed gives the same bytes."""

from __future__ import annotations

import gzip
import html
import os
import random
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Self

ENTRIES = 35
ADDRESSES = 200
# File times are set, as nginx makes its ETag and Last-Modified of them.
_FIRST_EDITION = 1_760_000_000
_NEWEST = datetime(2025, 10, 9, 8, 0, tzinfo=UTC)
_NEW_ENTRIES = 3

_WORDS = tuple(
    """
    ministry chip export licence court ruling privacy regulator model weights agency parliament draft
    vote tariff envoy committee fine appeal data centre supply fab wafer lithography compute cloud grid
    power turbine lender union council audit breach consent transfer tracking ban device vendor network
    probe inquiry filing shares funding round valuation index bond yield merger stake board founder
    engineer lab benchmark paper release open closed training cluster accelerator memory packaging
    smuggling broker entity list rule exemption deadline hearing senator deputy spokesman premier
    commissioner watchdog takedown platform speech blackout cable satellite port shipment customs rare
    earth magnet refinery quota curb sanction treaty summit accord alliance rival strategy subsidy grant
    loan budget reserve forecast growth slump recovery quietly broadly sharply again still barely nearly
    formally jointly partly widely new wider stricter domestic foreign regional joint interim final
    binding voluntary cheaper faster larger says warns plans weighs drops delays backs opposes clears
    blocks orders reviews widens narrows rejects signs the a of in on for with after before over under
    against amid despite without from to and but while as
    """.split()  # noqa: SIM905 - two hundred quoted words are no easier to read
)
_TAGS = ("<b>{}</b>", "<em>{}</em>", '<a href="https://example.org/{}">{}</a>', "<strong>{}</strong>")
_SECTIONS = ("policy", "markets", "technology", "world", "energy", "law", "trade", "science")


class FeedFarm:
    """Feeds in a folder and the nginx that serves them; a context manager that ends it."""

    def __init__(
        self, folder: Path, *, feeds: int, entries: int = ENTRIES, seed: int = 1, compress: bool = False
    ) -> None:
        self.folder = folder
        self.count = feeds
        self.entries = entries
        self._seed = seed
        self._compress = compress
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._answers_read = 0

    @property
    def urls(self) -> list[str]:
        hosts = min(ADDRESSES, self.count)
        return [f"http://{_address(n % hosts)}:{self._port}/{_name(n)}" for n in range(self.count)]

    def __enter__(self) -> Self:
        self._root.mkdir(parents=True)
        self.publish(edition=1)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(timeout=10)

    def publish(self, *, edition: int, share: float = 1.0) -> int:
        """Write this edition of the first `share` of the feeds; returns how many entries are new in it.

        A later edition puts new entries on top of each feed and drops as many old ones.
        """
        chosen = range(round(self.count * share))
        for number in chosen:
            path = self._root / _name(number)
            body = make_feed(number, entries=self.entries, edition=edition, seed=self._seed)
            _write(path, body, _FIRST_EDITION + edition * 3600)
            if self._compress:  # nginx serves the twin to those who accept gzip
                twin = path.with_name(f"{path.name}.gz")
                _write(twin, gzip.compress(body, 5, mtime=0), _FIRST_EDITION + edition * 3600)
        return len(chosen) * (self.entries if edition == 1 else _NEW_ENTRIES)

    def answers(self) -> Counter[str]:
        """How many answers of each status nginx gave since the last call."""
        lines = (self.folder / "access.log").read_text().split()
        new, self._answers_read = lines[self._answers_read :], len(lines)
        return Counter(new)

    @property
    def _root(self) -> Path:
        return self.folder / "www"

    def _start(self) -> None:
        config = self.folder / "nginx.conf"
        addresses = [_address(n) for n in range(min(ADDRESSES, self.count))]
        config.write_text(_nginx_config(self.folder, addresses, port=self._port, compress=self._compress))
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self._server = subprocess.Popen([nginx, "-p", self.folder, "-c", config, "-e", "error.log"])
        _await_port(addresses[-1], self._port, self._server)


def make_feed(number: int, *, entries: int = ENTRIES, edition: int = 1, seed: int = 1) -> bytes:
    """Make a feed of about 3.1 KB an entry: every third is Atom, the others RSS 2.0."""
    latest = entries + (edition - 1) * _NEW_ENTRIES
    items = [_Entry(number, at, seed) for at in range(latest, latest - entries, -1)]
    make = _make_atom if number % 3 == 2 else _make_rss
    return make(number, items).encode()


class _Entry:
    """What one entry says; it depends on its number, its feed and the seed only."""

    def __init__(self, feed: int, number: int, seed: int) -> None:
        rng = random.Random(f"{seed}/{feed}/{number}")
        self.title = " ".join(rng.choices(_WORDS, k=rng.randint(7, 12))).capitalize()
        self.section = rng.choice(_SECTIONS)
        self.author = " ".join(word.capitalize() for word in rng.choices(_WORDS[:90], k=2))
        self.url = f"https://news-{feed}.example/{self.section}/{_slug(self.title)}-{feed}{number:05d}"
        self.at = _NEWEST - timedelta(minutes=47 * (ENTRIES - number) + rng.randint(0, 40))
        self.summary = f"<p>{_prose(rng, 2)}</p>"
        self.content = "".join(f"<p>{_prose(rng, 3)}</p>\n" for _ in range(rng.randint(4, 5)))
        self.image = f'<img src="https://cdn-{feed}.example/{number}.jpg" width="640" alt="{self.section}"/>'


def _prose(rng: random.Random, sentences: int) -> str:
    made = []
    for _ in range(sentences):
        words = rng.choices(_WORDS, k=rng.randint(14, 26))
        at = rng.randrange(len(words))
        if rng.random() < 0.4:
            words[at] = rng.choice(_TAGS).format(*[words[at]] * 2)
        made.append(" ".join(words).capitalize())
    return ". ".join(made) + rng.choice((".", " &amp; more.", "&#8217;s view.", "&nbsp;\u2026"))


def _make_rss(number: int, items: Iterable[_Entry]) -> str:
    made = "".join(
        f"<item>\n<title>{html.escape(item.title)}</title>\n<link>{item.url}?utm_source=rss</link>\n"
        f'<guid isPermaLink="false">{number}-{item.url[-5:]}</guid>\n'
        f"<pubDate>{format_datetime(item.at, usegmt=True)}</pubDate>\n"
        f"<dc:creator>{item.author}</dc:creator>\n"
        f"<category>{item.section}</category>\n<category><![CDATA[{item.author}]]></category>\n"
        f"<description>{html.escape(item.image + item.summary)}</description>\n"
        f"<content:encoded><![CDATA[{item.content}]]></content:encoded>\n</item>\n"
        for item in items
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" '
        'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f"<channel>\n<title>Gazette {number}</title>\n<link>https://news-{number}.example/</link>\n"
        f"<description>News of {number}</description>\n<ttl>15</ttl>\n{made}</channel>\n</rss>\n"
    )


def _make_atom(number: int, items: Iterable[_Entry]) -> str:
    made = "".join(
        f"<entry>\n<title>{html.escape(item.title)}</title>\n"
        f'<link rel="alternate" type="text/html" href="{item.url}"/>\n'
        f"<id>tag:news-{number}.example,2025:{item.url[-9:]}</id>\n<published>{item.at.isoformat()}</published>\n"
        f"<updated>{item.at.isoformat()}</updated>\n<author><name>{item.author}</name></author>\n"
        f'<category term="{item.section}"/>\n'
        f'<summary type="html">{html.escape(item.image + item.summary)}</summary>\n'
        f'<content type="html">{html.escape(item.content)}</content>\n</entry>\n'
        for item in items
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">\n'
        f'<title>Courier {number}</title>\n<link href="https://news-{number}.example/"/>\n'
        f"<id>tag:news-{number}.example,2025:feed</id>\n<updated>{_NEWEST.isoformat()}</updated>\n{made}</feed>\n"
    )


def _slug(title: str) -> str:
    return "-".join(title.lower().split()[:8])


def _name(number: int) -> str:
    return f"feeds/{number:05d}.xml"


def _address(number: int) -> str:
    return f"127.1.{number // 250}.{number % 250 + 1}"


def _write(path: Path, data: bytes, modified: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (modified, modified))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(address: str, port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nginx did not start; its error.log says why")


def _nginx_config(folder: Path, addresses: Iterable[str], *, port: int, compress: bool) -> str:
    scratch = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    listen = "".join(f"    listen {address}:{port};\n" for address in addresses)
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\n"
        "events {\n  worker_connections 1024;\n}\n"
        f"http {{\n{scratch}  log_format short $status;\n  access_log {folder}/access.log short;\n"
        "  types {\n    application/xml xml;\n  }\n  etag on;\n"
        f"  gzip_static {'on' if compress else 'off'};\n"
        f"  server {{\n{listen}    root {folder}/www;\n  }}\n}}\n"
    )
