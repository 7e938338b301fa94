"""Lists of feeds: OPML as people have it, hostile OPML, text lists, and the list that we ship."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.feeds.opml import (
    MAX_LIST_BYTES,
    MAX_OUTLINE_DEPTH,
    normalise_feed_url,
    read_feed_list,
    read_opml,
    unique_feeds,
    write_opml,
)
from tocsin.errors import OpmlError, SettingsError
from tocsin.types import Feed

SHIPPED_LIST = Path(__file__).parents[3] / "deploy" / "feeds.opml"
ONE = Feed(url="https://one.example/rss")


def opml(body: str, *, head: str = "") -> bytes:
    return f'{head}<opml version="2.0"><head/>\n<body>\n{body}\n</body></opml>'.encode()


def feeds_in(body: str) -> tuple[Feed, ...]:
    return read_opml(opml(body), source="list.opml")


# ---------------------------------------------------------------- what OPML says


def test_a_feed_has_the_titles_of_its_enclosing_outlines_as_folder():
    feeds = feeds_in(
        '<outline text="Press"><outline title="Asia"><outline text="One" xmlUrl="https://one.example/rss"/>'
        '</outline><outline text="Two" xmlUrl="https://two.example/rss"/></outline>'
        '<outline text="Three" xmlUrl="https://three.example/rss"/>'
    )
    assert [(feed.title, feed.folder) for feed in feeds] == [
        ("One", "Press / Asia"),
        ("Two", "Press"),
        ("Three", None),
    ]


def test_a_title_goes_before_a_text_and_its_white_space_is_evened_out():
    (feed,) = feeds_in('<outline title=" The\n  Title " text="text" xmlUrl="https://one.example/rss"/>')
    assert feed.title == "The Title"


def test_a_feed_without_a_title_has_none():
    assert feeds_in('<outline text=" " xmlUrl="https://one.example/rss"/>') == (ONE,)


def test_the_outlet_that_an_alert_shows_can_be_given():
    (feed,) = feeds_in('<outline text="A: b" tocsin:outlet="A" xmlUrl="https://one.example/rss"/>')
    assert feed.outlet == "A"


def test_the_first_of_two_outlines_with_one_address_is_kept():
    feeds = feeds_in(
        '<outline text="First" xmlUrl="https://one.example/rss"/>'
        '<outline text="Second" xmlUrl=" HTTPS://one.example/rss "/>'
    )
    assert [feed.title for feed in feeds] == ["First"]


@pytest.mark.parametrize("name", ["xmlUrl", "xmlurl", "xmlURL", "XMLURL"])
def test_attribute_names_are_found_in_any_case(name):
    assert feeds_in(f'<outline {name}="https://one.example/rss"/>') == (ONE,)


def test_an_outline_below_a_feed_belongs_to_the_folder_of_that_feed():
    feeds = feeds_in(
        '<outline text="Folder"><outline text="One" xmlUrl="https://one.example/rss">'
        '<outline text="Two" xmlUrl="https://two.example/rss"/></outline></outline>'
    )
    assert {feed.folder for feed in feeds} == {"Folder"}


def test_a_folder_without_a_name_adds_nothing_to_the_path():
    (feed,) = feeds_in(
        '<outline text="A"><outline><outline xmlUrl="https://one.example/rss"/></outline></outline>'
    )
    assert feed.folder == "A"


def test_an_outline_that_cannot_be_polled_is_skipped_and_named_by_its_line(caplog):
    with caplog.at_level(logging.WARNING):
        feeds = feeds_in(
            '<outline xmlUrl="https://one.example/rss"/>\n<outline text="Mail" xmlUrl="imap://me:secret@mail.example"/>'
        )
    assert feeds == (ONE,)
    assert "outline.skipped source=list.opml line=4 title='Mail'" in caplog.text
    assert "secret" not in caplog.text


def test_ampersands_that_nobody_escaped_are_forgiven_and_told(caplog):
    with caplog.at_level(logging.WARNING):
        (feed,) = feeds_in(
            '<outline text="A & B &amp; C&#33;" xmlUrl="https://one.example/rss?a=1&b=2&amp;c=3"/>'
        )
    assert feed == Feed(url="https://one.example/rss?a=1&b=2&c=3", title="A & B & C!")
    assert "opml.mended source=list.opml line=3" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_the_declared_encoding_is_followed(encoding):
    declared = encoding.removesuffix("-sig")
    body = '<outline text="Société" xmlUrl="https://one.example/rss"/>'
    text = opml(body, head=f'<?xml version="1.0" encoding="{declared}"?>').decode()
    (feed,) = read_opml(text.encode(encoding), source="list.opml")
    assert feed.title == "Société"


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "list.opml: the file is empty; export"),
        (b" \n", "list.opml: the file is empty; export"),
        (b"https://one.example/rss", "list.opml, line 1: not XML .*; export"),
        (b"<opml>\n<body>\n<outline></body></opml>", "list.opml, line 3: not XML .mismatched tag.; export"),
        (b"<opml><body>\n<outline xmlUrl='https://a.example'/>", "list.opml, line 2: not XML .*; export"),
        (b"<opml><body><outline text='&nbsp;'/></body></opml>", "line 1: not XML .undefined entity."),
        (b"<opml>&<body>\n<outline></body></opml>", "line 2: not XML .mismatched tag."),
        (b"<?xml version='1.0' encoding='klingon'?><opml/>", "line 1: .*encoding.*UTF-8"),
        (b"<?xml version='1.0' encoding='utf-7'?><opml/>", "line 1: .*encoding.*UTF-8"),
        (b"\n<html><body/></html>", "line 2: the document is <html>, not <opml>; export"),
        (b"<!DOCTYPE html>\n<html/>", "line 1: this is a web page, .*; download"),
        (b"<rss version='2.0'><channel/></rss>", "line 1: this is a feed, .*; give its address"),
        (b"<feed xmlns='http://www.w3.org/2005/Atom'/>", "line 1: this is a feed, .*; give its address"),
        (b"<opml><head/></opml>", "list.opml: the OPML has no <body>; export"),
        (b"<opml><outline xmlUrl='https://a.example/'/></opml>", "list.opml: the OPML has no <body>"),
        (b"<opml><body/></opml>", "list.opml: lists no feeds; an <outline> needs an xmlUrl"),
        (b"<opml><head><outline xmlUrl='https://a.example/'/></head><body/></opml>", "lists no feeds"),
        (b"<opml><body><outline text='folder'/></body></opml>", "list.opml: lists no feeds"),
        (b"<opml><body><outline xmlUrl='/rss'/></body></opml>", "list.opml: lists no feeds"),
    ],
)
def test_a_document_that_is_no_list_of_feeds_says_where_and_what_to_do(data, message):
    with pytest.raises(OpmlError, match=message):
        read_opml(data, source="list.opml")


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE opml>",
        '<!DOCTYPE opml SYSTEM "http://127.0.0.1:9/opml.dtd">',
        '<!DOCTYPE opml [<!ENTITY a "b">]>',
        '<!DOCTYPE opml [<!ENTITY a "&">]>',
        '<!DOCTYPE opml [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>',
        '<!DOCTYPE opml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_declaration_is_refused_before_anything_is_expanded(doctype, encoding):
    text = f'{doctype}<opml><body><outline text="&b;" xmlUrl="https://one.example/rss"/></body></opml>'
    with pytest.raises(
        OpmlError, match=r"list\.opml, line 1: document type declarations .* are refused; remove"
    ):
        read_opml(text.encode(encoding), source="list.opml")


def test_folders_may_be_deep_but_not_bottomless():
    def nested(depth: int) -> str:
        feed = '<outline xmlUrl="https://one.example/rss"/>'
        return '<outline text="f">' * depth + feed + "</outline>" * depth

    (feed,) = feeds_in(nested(MAX_OUTLINE_DEPTH - 1))
    assert feed.folder is not None
    assert feed.folder.count("f") == MAX_OUTLINE_DEPTH - 1
    with pytest.raises(OpmlError, match=r"line 3: outlines are nested .*; flatten"):
        feeds_in(nested(MAX_OUTLINE_DEPTH))


def test_a_document_larger_than_any_list_is_refused():
    with pytest.raises(OpmlError, match=r"list\.opml: larger than 10 MB; split"):
        read_opml(opml("") + b" " * MAX_LIST_BYTES, source="list.opml")


@given(st.binary() | st.text().map(opml))
def test_any_bytes_are_a_list_or_an_error_of_ours(data):
    with suppress(OpmlError):
        assert read_opml(data, source="list.opml")


# ---------------------------------------------------------------- writing and reading back

words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
names = st.lists(words, min_size=1, max_size=3).map(" ".join)
folders = st.lists(names.filter(lambda name: "/" not in name), min_size=1, max_size=4).map(" / ".join)
urls = st.builds(
    "{}://{}.example/{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a", "b", "news"]),
    st.text(st.characters(min_codepoint=0x21, exclude_categories=["C", "Z"]), max_size=12),
)
lists_of_feeds = st.lists(
    st.builds(
        Feed,
        url=urls,
        title=st.none() | names,
        outlet=st.none() | names,
        folder=st.none() | folders,
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda feed: feed.url,
)


def by_folder(feeds):
    grouped = {}
    for feed in feeds:
        grouped.setdefault(feed.folder, []).append(feed)
    return grouped


@given(lists_of_feeds, st.text())
def test_what_is_written_is_read_back_equal_and_in_order_within_each_folder(feeds, title):
    written = write_opml(feeds, title=title)
    read = read_opml(written, source="written.opml")
    assert by_folder(read) == by_folder(feeds)
    assert write_opml(read, title=title) == written


@given(st.text(), st.text(), st.text())
def test_no_name_can_make_a_list_unreadable(title, outlet, folder):
    feed = Feed(url="https://one.example/rss?a=1&b=<'\">", title=title, outlet=outlet, folder=folder)
    (read,) = read_opml(write_opml([feed], title=title), source="written.opml")
    assert read.url == feed.url


def test_a_written_list_is_opml_that_other_readers_take():
    written = write_opml(
        [Feed(url="https://one.example/rss", title="One", folder="Press / Asia")], title="Mine & yours"
    ).decode()
    assert written.startswith("<?xml version='1.0' encoding='utf-8'?>\n<opml version=\"2.0\"")
    assert "<title>Mine &amp; yours</title>" in written
    assert '<outline text="Press" title="Press">' in written
    assert '<outline type="rss" text="One" xmlUrl="https://one.example/rss" title="One" />' in written


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("given_address", "url"),
    [
        (" https://one.example/rss\n", "https://one.example/rss"),
        ("HTTP://One.example/RSS", "http://One.example/RSS"),
        ("feed://one.example/rss", "http://one.example/rss"),
        ("FEED:https://one.example/rss", "https://one.example/rss"),
        ("https://[::1]:8080/rss#top", "https://[::1]:8080/rss#top"),
        ("https://user:word@one.example/rss", "https://user:word@one.example/rss"),
        ("one.example/rss", None),
        ("feed:one.example/rss", None),
        ("ftp://one.example/rss", None),
        ("file:///etc/passwd", None),
        ("javascript:alert(1)", None),
        ("https:///rss", None),
        ("https://:80/rss", None),
        ("https://one.example:zero/rss", None),
        ("https://one.example:0/rss", None),
        ("https://[::1/rss", None),
        ("https://one.example/a b", None),
        ("https://one.example/a\x00b", None),
        ("", None),
    ],
)
def test_an_address_is_made_ready_to_poll_or_refused(given_address, url):
    assert normalise_feed_url(given_address) == url


@given(st.text() | urls)
def test_an_address_made_ready_stays_as_it_is(text):
    url = normalise_feed_url(text)
    assert url is None or normalise_feed_url(url) == url


def test_the_first_feed_of_each_address_stays_in_its_place():
    two, again = Feed(url="https://two.example/rss"), Feed(url=ONE.url, title="Again")
    assert unique_feeds([ONE, two, again]) == (ONE, two)


# ---------------------------------------------------------------- what a person gives as --feeds

suffixes = st.sampled_from(["", ".opml", ".txt"])


@pytest.mark.parametrize("address", ["https://one.example/rss", " feed:https://one.example/rss "])
def test_an_address_is_one_feed(address):
    assert read_feed_list(address) == (ONE,)


def test_an_address_that_ends_like_a_list_is_still_an_address():
    assert read_feed_list("https://one.example/list.opml") == (Feed(url="https://one.example/list.opml"),)


@pytest.mark.parametrize("name", ["list.opml", "list.xml", "LIST.OPML"])
def test_a_file_of_opml_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(opml('<outline xmlUrl="https://one.example/rss"/>'))
    assert read_feed_list(str(path)) == (ONE,)


def test_a_file_that_is_not_opml_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("list.opml").write_bytes(b"https://one.example/rss")
    with pytest.raises(OpmlError, match=r"^list\.opml, line 1: not XML"):
        read_feed_list("list.opml")


def test_a_text_file_has_an_address_per_line_and_comments(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(
        "\ufeff# ours\r\n\r\nhttps://one.example/rss # the first\r\n  feed://two.example/rss#part\r\n"
        "https://one.example/rss\n",
        encoding="utf-8",
    )
    assert read_feed_list(str(path)) == (ONE, Feed(url="http://two.example/rss#part"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"list\.txt: lists no feeds; write one"),
        (b"# nothing yet\n", r"list\.txt: lists no feeds; write one"),
        (b"https://one.example/rss\n\none.example\n", r"list\.txt, line 3: no feed address; write one"),
        (b"https://one.example/rss One\n", r"list\.txt, line 1: no feed address; write one"),
        (b"https://one.example/rss\n# caf\xe9\n", r"list\.txt, line 2: not UTF-8 text; save"),
        (b"#" * (MAX_LIST_BYTES + 1), r"list\.txt: larger than 10 MB; split"),
    ],
)
def test_a_text_file_that_is_no_list_says_where_and_what_to_do(tmp_path, content, message):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(OpmlError, match=message):
        read_feed_list(str(path))


def test_a_missing_file_is_named_with_the_place_that_was_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"^feeds\.opml: no such file") as caught:
        read_feed_list("feeds.opml")
    assert str(tmp_path / "feeds.opml") in str(caught.value)


def test_a_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "list.txt").write_text("https://one.example/rss", encoding="utf-8")
    assert read_feed_list("~/list.txt") == (ONE,)


def test_a_folder_in_place_of_a_file_is_an_error_of_ours(tmp_path):
    (tmp_path / "list.opml").mkdir()
    with pytest.raises(OpmlError, match=r"list\.opml: cannot be read .*; check the path"):
        read_feed_list(str(tmp_path / "list.opml"))


@pytest.mark.parametrize("given_path", ["", "one.example/rss", "feeds.csv", "folder"])
def test_anything_else_is_refused_with_what_could_be_given(given_path):
    with pytest.raises(OpmlError, match=r"not a list of feeds; give a file .* or an address"):
        read_feed_list(given_path)


def test_an_address_that_cannot_be_polled_is_refused_without_its_password():
    with pytest.raises(OpmlError, match=r"\(ftp:…\) cannot be polled; it must be http") as caught:
        read_feed_list("ftp://me:secret@one.example/rss")
    assert "secret" not in str(caught.value)


@given(st.builds("{}{}{}".format, st.sampled_from(["", "~", "feed:", "https://"]), st.text(), suffixes))
def test_whatever_is_given_is_a_list_or_an_error_of_ours(text):
    with suppress(OpmlError):
        assert read_feed_list(text)


# ---------------------------------------------------------------- the list that we ship


@pytest.fixture(scope="module")
def shipped() -> tuple[Feed, ...]:
    return read_feed_list(str(SHIPPED_LIST))


def test_the_shipped_list_has_at_least_forty_feeds_and_no_duplicates(shipped):
    assert len(shipped) >= 40
    assert len(shipped) == SHIPPED_LIST.read_text(encoding="utf-8").count("xmlUrl=")


def test_every_shipped_feed_has_a_title_and_a_folder(shipped):
    assert [feed.url for feed in shipped if not (feed.title and feed.folder)] == []


def test_shipped_titles_are_unique(shipped):
    assert len({feed.title for feed in shipped}) == len(shipped)


def test_every_shipped_feed_is_fetched_over_tls_and_without_credentials(shipped):
    assert [feed.url for feed in shipped if not feed.url.startswith("https://") or "@" in feed.url] == []


def test_the_shipped_list_covers_the_domain(shipped):
    folders = {feed.folder for feed in shipped}
    places = ["United States", "European Union", "United Kingdom", "Asia and Canada"]
    assert {f"Official sources / {place}" for place in places} <= folders
    assert {
        "AI labs and research",
        "Policy analysis",
        "Privacy and security",
        "Business and markets",
    } <= folders
