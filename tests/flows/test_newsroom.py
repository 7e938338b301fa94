"""The sample newsroom: its feeds say what the manifest says, and its server keeps HTTP's promises."""

import gzip
import http.client
import json
import re
import shutil
import socket
from calendar import timegm
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlsplit

import feedparser
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flows.newsroom import FOLDER, Newsroom, render_dates
from tocsin.errors import SettingsError

ANCHOR = datetime(2026, 3, 2, tzinfo=UTC)
MANIFEST = yaml.safe_load((FOLDER / "manifest.yaml").read_text(encoding="utf-8"))
FEEDS = {each["path"]: each for each in MANIFEST["feeds"]}
SOUND = [path for path, each in FEEDS.items() if each["entries"]]
DEFAULT_TOPICS = {
    "export_controls",
    "data_privacy",
    "open_weights",
    "ai_regulation",
    "compute_infrastructure",
    "ai_safety",
    "censorship",
    "market_impact",
    "device_bans",
    "us_china_rivalry",
}
WORLD = "/world-desk/rss.xml"


@pytest.fixture
def newsroom():
    with Newsroom(anchor=ANCHOR, port=0) as opened:
        yield opened


@pytest.fixture
def get(newsroom):
    """Send one request on a connection that is kept alive; return the response, its body in `.body`."""
    with closing(http.client.HTTPConnection("127.0.0.1", newsroom.port, timeout=10)) as connection:

        def send(path, *, method="GET", **headers):
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            response.body = response.read()
            return response

        send.connection = connection
        yield send


@pytest.fixture(scope="module")
def parsed():
    """What each sound feed says: path -> list of (link, title, summary, published or None)."""
    room = Newsroom(anchor=ANCHOR)
    return {path: _read_entries(path, room.body(path)) for path in SOUND}


def _read_entries(path, body):
    if path.endswith(".json"):
        return [_read_json_item(item) for item in json.loads(body)["items"]]
    feed = feedparser.parse(body, response_headers={"content-type": FEEDS[path]["content_type"]})
    assert not feed.bozo, feed.get("bozo_exception")
    return [_read_feedparser_entry(entry) for entry in feed.entries]


def _read_json_item(item):
    summary = item.get("content_text") or _plain(item["content_html"])
    published = item.get("date_published")
    return item["url"], item["title"], summary, published and datetime.fromisoformat(published)


def _read_feedparser_entry(entry):
    moment = entry.get("published_parsed") or entry.get("updated_parsed")
    published = moment and datetime.fromtimestamp(timegm(moment), UTC)
    return entry.link, entry.title, _plain(entry.summary), published


def _plain(markup):
    return re.sub(r"<[^>]+>", "", markup).strip()


# ---------------------------------------------------------------- content


@pytest.mark.parametrize("path", SOUND)
def test_each_feed_has_the_links_that_the_manifest_lists(parsed, path):
    listed = [each.get("link", each["url"]) for each in MANIFEST["entries"] if each["feed"] == path]
    assert [link for link, *_ in parsed[path]] == listed
    assert len(listed) == FEEDS[path]["entries"]


def test_the_sample_is_large_and_in_every_format(parsed):
    assert len(SOUND) >= 9
    assert sum(map(len, parsed.values())) >= 130
    room = Newsroom(anchor=ANCHOR)
    bodies = [room.body(path) for path in SOUND]
    versions = Counter(
        json.loads(body)["version"] if body.startswith(b"{") else feedparser.parse(body).version
        for body in bodies
    )
    assert versions["rss20"] >= 4
    assert versions["atom10"] == 2
    assert versions["rss10"] == 1
    assert versions["https://jsonfeed.org/version/1.1"] == 2


def test_every_default_topic_has_six_articles_spread_over_feeds():
    assert set(MANIFEST["topics"]) == DEFAULT_TOPICS
    for topic, urls in MANIFEST["topics"].items():
        feeds = {each["feed"] for each in MANIFEST["entries"] if topic in each["topics"]}
        assert len(set(urls)) >= 6, topic
        assert len(feeds) >= 3, topic


def test_nearly_half_of_the_entries_are_ordinary_news():
    ordinary = [each for each in MANIFEST["entries"] if not each["topics"]]
    assert len(ordinary) >= 0.45 * len(MANIFEST["entries"])


def test_the_lists_by_topic_follow_from_the_entries():
    by_topic = {
        topic: list(dict.fromkeys(each["url"] for each in MANIFEST["entries"] if topic in each["topics"]))
        for topic in MANIFEST["topics"]
    }
    ordinary = list(dict.fromkeys(each["url"] for each in MANIFEST["entries"] if not each["topics"]))
    assert by_topic == MANIFEST["topics"]
    assert ordinary == MANIFEST["ordinary"]


def test_every_entry_is_listed_once_and_a_url_always_has_the_same_topics():
    counts = Counter((each["feed"], each["url"]) for each in MANIFEST["entries"])
    assert set(counts.values()) == {1}
    said = {(each["url"], *each["topics"], None, *each.get("unsure", ())) for each in MANIFEST["entries"]}
    assert len(said) == len({each["url"] for each in MANIFEST["entries"]})
    for each in MANIFEST["entries"]:
        assert set(each["topics"]) | set(each.get("unsure", ())) <= DEFAULT_TOPICS
        assert not set(each["topics"]) & set(each.get("unsure", ()))


def test_headlines_and_summaries_are_whole_sentences_without_accidents_of_encoding(parsed):
    for link, title, summary, _ in (entry for entries in parsed.values() for entry in entries):
        assert len(title) > 20, link
        assert len(re.findall(r"[.?!](?=\s|$|Read)", summary)) in (2, 3, 4, 5), link
        assert not re.search("\ufffd|Ã|â€", title + summary), link


def test_every_url_in_every_file_is_on_a_reserved_host():
    namespaces = {"www.w3.org", "purl.org", "jsonfeed.org"}
    for path in (path for path in FOLDER.rglob("*") if path.is_file()):
        urls = re.findall(r"https?://[^\s\"'<>|\]]+", path.read_text(encoding="latin-1"))
        hosts = {urlsplit(url).hostname for url in urls} - namespaces
        assert all(host.endswith(".example") for host in hosts), path


def _texts(parsed):
    """Return (feed, url) -> (link, title, summary)."""
    urls = {(each["feed"], each.get("link", each["url"])): each["url"] for each in MANIFEST["entries"]}
    return {(path, urls[path, entry[0]]): entry[:3] for path, entries in parsed.items() for entry in entries}


def _copies(parsed, kind):
    """Return the duplicate groups of a kind, each as columns: urls, links, titles, summaries (sets)."""
    texts = _texts(parsed)
    groups = [group["entries"] for group in MANIFEST["duplicates"] if group["kind"] == kind]
    assert len(groups) >= 2
    return [
        [{each["url"] for each in group}]
        + [{texts[each["feed"], each["url"]][column] for each in group} for column in range(3)]
        for group in groups
    ]


def test_copies_of_the_same_url_differ_in_tracking_parameters_only(parsed):
    for urls, links, titles, _ in _copies(parsed, "same_url"):
        assert len(urls) == len(titles) == 1
        assert len(links) == 2
        assert {link.partition("?")[0] for link in links} == urls
        assert any("?utm_source=morning-briefing&utm_medium=" in link for link in links)


def test_edited_headlines_share_url_and_summary(parsed):
    for urls, links, titles, summaries in _copies(parsed, "edited_headline"):
        assert urls == links
        assert len(titles) == 2
        assert len(urls) == len(summaries) == 1


def test_wire_copies_share_title_and_summary_but_no_url(parsed):
    groups = _copies(parsed, "wire_copy")
    assert all(len(titles) == len(summaries) == 1 for *_, titles, summaries in groups)
    assert sorted(len(urls) for urls, *_ in groups) == [2, 3]


def test_the_hostile_title_tries_every_trick(parsed):
    hostile = [title for _, title, *_ in parsed["/signal-notes/feed.json"] if "<!channel>" in title]
    assert len(hostile) == 1
    for trick in ("<https://evil.example|Click>", "*bold*", "`", "&lt;@U123&gt;", "\u202e", "\x1b[31m"):
        assert trick in hostile[0]


def test_one_feed_is_in_windows_1252_and_its_accents_survive(parsed):
    body = Newsroom(anchor=ANCHOR).body("/rhine-echo/rss.xml")
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    text = " ".join(title + summary for _, title, summary, _ in parsed["/rhine-echo/rss.xml"])
    for word in ("Nîmes", "Mönchengladbach", "€800", "“Der Rosenkavalier”"):
        assert word in text


def test_the_broken_feed_yields_nothing_and_is_not_well_formed():
    feed = feedparser.parse(Newsroom(anchor=ANCHOR).body("/brittle-times/rss.xml"))
    assert feed.bozo
    assert not feed.entries
    assert not feed.version


# ---------------------------------------------------------------- dates


def test_entries_lie_in_the_five_days_before_the_anchor_whatever_their_format(parsed):
    moments = [moment for entries in parsed.values() for *_, moment in entries]
    undated = moments.count(None)
    assert 1 <= undated <= 5
    dated = [moment for moment in moments if moment]
    assert all(ANCHOR - timedelta(days=5) <= moment < ANCHOR for moment in dated)
    assert len({moment.date() for moment in dated}) == 5


@pytest.mark.parametrize(
    ("placeholder", "rendered"),
    [
        ("@{rfc822 -3h}", "Sun, 01 Mar 2026 21:00:00 GMT"),
        ("@{rfc822 -3h -0500}", "Sun, 01 Mar 2026 16:00:00 -0500"),
        ("@{rfc822 -3h +0000}", "Sun, 01 Mar 2026 21:00:00 +0000"),
        ("@{iso -26h}", "2026-02-28T22:00:00Z"),
        ("@{iso -26h +0530}", "2026-03-01T03:30:00+05:30"),
        ("@{iso-ms -0h}", "2026-03-02T00:00:00.000Z"),
        ("@{date -1h}", "2026-03-01"),
    ],
)
def test_a_placeholder_becomes_a_date_before_the_anchor(placeholder, rendered):
    assert render_dates(f"<{placeholder}>".encode(), ANCHOR) == f"<{rendered}>".encode()


@pytest.mark.parametrize("wrong", ["@{rfc822 3h}", "@{iso -2d}", "@{}", "@{unix -3h}", "@{iso -3h CET}"])
def test_a_misspelt_placeholder_is_refused_by_name(wrong):
    with pytest.raises(SettingsError, match=re.escape(wrong)):
        render_dates(wrong.encode(), ANCHOR)


@given(st.binary().filter(lambda body: b"@{" not in body))
def test_bytes_without_placeholders_are_left_alone(body):
    assert render_dates(body, ANCHOR) == body


@given(st.integers(0, 9999), st.integers(-14 * 60, 14 * 60))
def test_a_rendered_moment_is_exactly_that_many_hours_before_the_anchor(hours, minutes):
    zone = timezone(timedelta(minutes=minutes))
    rendered = render_dates(f"@{{iso -{hours}h {ANCHOR.astimezone(zone):%z}}}".encode(), ANCHOR).decode()
    assert ANCHOR - datetime.fromisoformat(rendered) == timedelta(hours=hours)


def test_bodies_depend_on_the_anchor_only():
    first, again, later = (
        Newsroom(anchor=anchor) for anchor in (ANCHOR, ANCHOR, ANCHOR + timedelta(hours=1))
    )
    for path in SOUND:
        assert first.body(path) == again.body(path)
        assert first.body(path) != later.body(path)
        assert b"@{" not in first.body(path)


def test_an_anchor_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="aware"):
        Newsroom(anchor=datetime(2026, 3, 2))  # noqa: DTZ001  the point of the test


# ---------------------------------------------------------------- server


@pytest.mark.parametrize("path", FEEDS)
def test_each_feed_answers_as_the_manifest_says(newsroom, get, path):
    response = get(path)
    assert response.status == FEEDS[path]["status"]
    assert response.headers["Content-Type"] == FEEDS[path]["content_type"]
    assert response.body == newsroom.body(path)


def test_feeds_carry_what_an_opml_file_would_say(newsroom):
    assert [feed.url for feed in newsroom.feeds] == [newsroom.url(path) for path in FEEDS]
    rhine = next(feed for feed in newsroom.feeds if "rhine" in feed.url)
    assert rhine.url == f"http://127.0.0.1:{newsroom.port}/rhine-echo/rss.xml"
    assert (rhine.title, rhine.outlet, rhine.folder) == (
        "Rhine Echo: the news from Bâle to Köln",
        "Rhine Echo",
        "Europe",
    )


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_etag_that_comes_back_gets_304_without_a_body(get, encoding):
    first = get(WORLD, Accept_Encoding=encoding)
    assert re.fullmatch(r'"[^"]+"', first.headers["ETag"])
    again = get(WORLD, Accept_Encoding=encoding, If_None_Match=f'"other", W/{first.headers["ETag"]}')
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Content-Length" not in again.headers


def test_plain_and_compressed_bodies_have_different_etags_and_either_is_known(get):
    plain, packed = get(WORLD), get(WORLD, Accept_Encoding="br, gzip;q=0.8")
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert get(WORLD, If_None_Match=packed.headers["ETag"]).status == 304


def test_a_last_modified_that_comes_back_gets_304(get):
    modified = get(WORLD).headers["Last-Modified"]
    assert modified == "Mon, 02 Mar 2026 00:00:00 GMT"
    assert get(WORLD, If_Modified_Since=modified).status == 304
    assert get(WORLD, If_Modified_Since="Sun, 01 Mar 2026 23:59:59 GMT").status == 200
    assert get(WORLD, If_Modified_Since="last Tuesday").status == 200


def test_an_etag_outranks_a_date(get):
    modified = get(WORLD).headers["Last-Modified"]
    assert get(WORLD, If_None_Match='"other"', If_Modified_Since=modified).status == 200


def test_a_later_newsroom_with_the_same_anchor_knows_the_validators(get):
    etag = get(WORLD).headers["ETag"]
    with (
        Newsroom(anchor=ANCHOR, port=0) as later,
        closing(http.client.HTTPConnection("127.0.0.1", later.port, timeout=10)) as connection,
    ):
        connection.request("GET", WORLD, headers={"If-None-Match": etag})
        assert connection.getresponse().status == 304


def test_a_client_that_takes_gzip_gets_it_and_others_do_not(newsroom, get):
    packed = get(WORLD, Accept_Encoding="gzip, deflate")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == newsroom.body(WORLD)
    for refusal in ("", "identity", "gzip;q=0", "gzip; q=0.0"):
        plain = get(WORLD, Accept_Encoding=refusal)
        assert "Content-Encoding" not in plain.headers
        assert plain.body == newsroom.body(WORLD)


def test_head_gives_the_headers_of_get_and_no_body(get):
    head, full = get(WORLD, method="HEAD"), get(WORLD)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "ETag", "Last-Modified", "Content-Type"):
        assert head.headers[name] == full.headers[name]


@pytest.mark.parametrize("request_line", [f"HEAD {WORLD}", f"GET {WORLD}"])
def test_not_one_byte_follows_the_headers_where_no_body_may(newsroom, request_line):
    sent = f"{request_line} HTTP/1.1\r\nHost: newsroom\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", newsroom.port), timeout=10) as raw:
        raw.sendall(sent.encode())
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 304 ")
    assert received.index(b"\r\n\r\n") == len(received) - 4


def test_an_unknown_path_is_404_and_a_query_is_ignored(get):
    assert get("/manifest.yaml").status == 404
    assert get("/../manifest.yaml").status == 404
    assert get(WORLD + "?page=2").status == 200


def test_the_shut_feed_offers_no_validators_and_does_not_pause_its_host(get):
    response = get("/shuttered-review/rss.xml", If_None_Match="*")
    assert response.status == 503
    assert "Retry-After" not in response.headers
    assert "ETag" not in response.headers


def test_one_connection_serves_many_requests(newsroom, get):
    get(WORLD)
    first_socket = get.connection.sock
    for path in [*FEEDS, "/nothing"]:
        get(path)
    assert get.connection.sock is first_socket
    assert get(WORLD).version == 11


def test_requests_are_recorded_in_order(newsroom, get):
    etag = get(WORLD).headers["ETag"]
    get(WORLD + "?a=b", If_None_Match=etag)
    get("/nothing", method="HEAD")
    assert newsroom.requests == [("GET", WORLD, 200), ("GET", WORLD, 304), ("HEAD", "/nothing", 404)]


def test_publish_changes_body_etag_and_last_modified(newsroom, get):
    before = get(WORLD)
    newsroom.publish(WORLD, newsroom.body(WORLD).replace(b"Late penalty", b"Very late penalty @{date -24h}"))
    after = get(
        WORLD, If_None_Match=before.headers["ETag"], If_Modified_Since=before.headers["Last-Modified"]
    )
    assert after.status == 200
    assert b"Very late penalty 2026-03-01" in after.body
    assert after.headers["ETag"] != before.headers["ETag"]
    assert get(WORLD, If_Modified_Since=before.headers["Last-Modified"]).status == 200
    assert after.headers["Content-Type"] == before.headers["Content-Type"]


def test_publish_can_break_mend_and_add_a_feed(newsroom, get):
    newsroom.publish(WORLD, b"gone", content_type="text/plain", status=410)
    assert (get(WORLD).status, get(WORLD).headers["Content-Type"]) == (410, "text/plain")
    newsroom.publish("/shuttered-review/rss.xml", b"<rss/>", content_type="application/rss+xml")
    assert get("/shuttered-review/rss.xml").status == 200
    newsroom.publish("/new/feed.json", b"{}", content_type="application/feed+json")
    assert get("/new/feed.json").body == b"{}"


def test_a_taken_port_gives_way_to_a_free_one(newsroom):
    with Newsroom(anchor=ANCHOR, port=newsroom.port) as second:
        assert second.port != newsroom.port
        assert second.feeds[0].url.startswith(f"http://127.0.0.1:{second.port}/")


def test_a_closed_newsroom_frees_its_port_even_with_a_connection_kept_alive():
    with Newsroom(anchor=ANCHOR, port=0) as room:
        idle = http.client.HTTPConnection("127.0.0.1", room.port, timeout=10)
        idle.request("GET", WORLD)
        idle.getresponse().read()
    with closing(idle), Newsroom(anchor=ANCHOR, port=room.port) as second:
        assert second.port == room.port


def test_only_the_loopback_address_answers(newsroom):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", newsroom.port), timeout=10)


def test_serving_writes_nothing_to_the_terminal(get, capfd):
    get(WORLD)
    get("/nothing")
    get.connection.request("BREW", "/pot")
    assert get.connection.getresponse().status == 501
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda folder: (folder / "manifest.yaml").unlink(), "manifest.yaml"),
        (lambda folder: (folder / "manifest.yaml").write_text("feeds: [{file: a}]"), "manifest.yaml"),
        (lambda folder: (folder / "manifest.yaml").write_text("feeds: ["), "manifest.yaml"),
        (lambda folder: (folder / "world-desk" / "rss.xml").unlink(), "rss.xml"),
        (lambda folder: (folder / "world-desk" / "rss.xml").write_text("@{soon}"), "rss.xml.*soon"),
    ],
)
def test_a_damaged_folder_is_an_error_that_names_the_file(tmp_path, damage, named):
    folder = shutil.copytree(FOLDER, tmp_path / "newsroom")
    damage(folder)
    with pytest.raises(SettingsError, match=named):
        Newsroom(anchor=ANCHOR, folder=folder)
