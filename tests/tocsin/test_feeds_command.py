"""`tocsin feeds`: the list is kept as told, shown without credentials, and wrong use is named."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from flows.feeds.opml import read_opml
from flows.newsroom import Newsroom
from storage.database import Database
from storage.feeds import load_states, record_fetches, save_states
from storage.folder import history_path, lock_data_folder
from storage.following import load_followed
from tocsin.cli import main
from tocsin.cli.feeds import feeds as command
from tocsin.errors import OpmlError, SettingsError, StorageBusy
from tocsin.types import Exchange, Feed, FeedState, FetchFailed, Polled

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
A, B = "https://a.example/feed", "https://b.example/feed?key=k"
SECRET = "https://ann:hunter2@c.example/feed"
PLAIN = "https://c.example/feed"
OPML = """<opml version="2.0"><body>
<outline text="Law" title="Law"><outline text="EU" title="EU">
<outline text="A" title="A" xmlUrl="https://a.example/feed"/></outline></outline>
<outline text="" xmlUrl="https://ann:hunter2@c.example/feed"/>
<outline text="Bad" xmlUrl="ftp://ann:hunter2@x.example/"/>
</body></opml>"""


@pytest.fixture(autouse=True)
def _quiet_loggers():
    """Undo what the command does to the process's logging."""
    from tocsin.logging import _OURS, _TALKATIVE

    loggers = [logging.getLogger(name) for name in (*_OURS, *_TALKATIVE)]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, level, propagate in before:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty data folder in a working folder without settings."""
    for name in ("TOCSIN_FEEDS", "TOCSIN_CONFIG", "TOCSIN_ALLOW_NETWORKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def tocsin(data):
    """Run `tocsin feeds …`; errors of ours are raised, as `main` would print them."""

    def run(*arguments, code=0):
        done = CliRunner().invoke(command, [str(each) for each in arguments], prog_name="tocsin feeds")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.fixture
def newsroom(data, monkeypatch):
    monkeypatch.setenv("TOCSIN_ALLOW_NETWORKS", "127.0.0.0/8")
    with Newsroom(anchor=NOW, port=0) as server:
        yield server


def stored(data):
    with Database(history_path(data)).read() as con:
        return [each.feed for each in load_followed(con)]


# ---------------------------------------------------------------- the list


def test_what_was_added_is_listed_in_order_under_its_names(tocsin):
    tocsin("add", B, "--title", " My  feed ", "--outlet", "B", "--folder", "Law / EU")
    tocsin("add", A)
    listed = json.loads(tocsin("list", "--json").stdout)
    assert [(each["url"], each["title"], each["outlet"], each["folder"]) for each in listed] == [
        (B, "My feed", "B", "Law / EU"),
        (A, None, None, None),
    ]
    assert "My feed" in tocsin("list").stdout
    assert [each["url"] for each in json.loads(tocsin("list", "--json", "--folder", "Law").stdout)] == [B]
    assert json.loads(tocsin("list", "--json", "--folder", "La").stdout) == []


def test_adding_again_says_so_and_changes_nothing(tocsin, data):
    assert tocsin("add", A).stdout == f"added: {A}\n"
    assert tocsin("add", A).stdout == f"already followed: {A}\n"
    assert tocsin("add", A, "--title", "A").stdout == f"renamed: {A}\n"
    assert tocsin("add", A, "--title", "A").stdout == f"already followed: {A}\n"
    assert tocsin("add", A, B).stdout.splitlines()[-1] == "1 already followed, 1 added"
    assert stored(data) == [Feed(A, "A"), Feed(B)]


def test_removing_ends_the_polling_and_can_be_repeated(tocsin, data):
    tocsin("add", A, B)
    assert tocsin("remove", A).stdout == f"removed: {A}\n"
    assert tocsin("remove", A).stdout == f"already removed: {A}\n"
    assert stored(data) == [Feed(B)]
    assert "nothing to poll" in tocsin("remove", B).stderr


def test_removing_an_unknown_feed_names_those_alike_and_removes_none(tocsin, data):
    tocsin("add", A, SECRET)
    with pytest.raises(SettingsError) as caught:
        tocsin("remove", A, "https://c.example/fed")
    assert caught.value.exit_code == 2
    assert f"did you mean {PLAIN}" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert stored(data) == [Feed(A), Feed(SECRET)]
    with pytest.raises(SettingsError, match="tocsin feeds list"):
        tocsin("remove", "https://nowhere.invalid/")
    with pytest.raises(SettingsError, match="the address given") as caught:
        tocsin("remove", "https://ann:hunter2/@x.example/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["add", "check"])
def test_an_address_that_no_file_could_hold_is_refused(tocsin, data, name):
    with pytest.raises(SettingsError, match="not UTF-8"):
        tocsin(name, "https://x.example/\udcff")
    assert not data.exists()


def test_without_a_history_there_is_nothing_to_show_or_remove_and_none_is_made(tocsin, data):
    with pytest.raises(SettingsError, match="tocsin feeds add"):
        tocsin("remove", A)
    assert "No feed is followed" in tocsin("list").stdout
    assert json.loads(tocsin("health", "--json").stdout) == []
    assert "nothing to export" in tocsin("export", code=1).stderr
    assert not data.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        "ftp://ann:hunter2@x.example/",
        "https://ann:hunter2/@x.example/",
        "absent.opml",
        "x.example",
        "https://",
    ],
)
def test_what_is_no_feed_address_is_bad_usage(tocsin, data, wrong):
    with pytest.raises(OpmlError) as caught:
        tocsin("add", A, wrong)
    assert caught.value.exit_code == 2
    assert "hunter2" not in str(caught.value)
    assert not data.exists()


def test_one_title_for_several_feeds_is_bad_usage(tocsin):
    with pytest.raises(SettingsError, match="--title"):
        tocsin("add", A, B, "--title", "Both")


def test_adding_warns_that_the_list_of_the_settings_is_polled_no_longer(tocsin, monkeypatch):
    monkeypatch.setenv("TOCSIN_FEEDS", A)
    assert "TOCSIN_FEEDS are not polled" in tocsin("add", B).stderr
    assert "TOCSIN_FEEDS" not in tocsin("add", B).stderr
    assert "polls those of TOCSIN_FEEDS" in tocsin("remove", B).stderr


def test_changes_wait_for_a_run_and_leave_the_list_as_it_was(tocsin, data, monkeypatch):
    tocsin("add", A)
    monkeypatch.setattr(lock_data_folder.__wrapped__, "__kwdefaults__", {"wait": timedelta(0)})
    with lock_data_folder(data):
        with pytest.raises(StorageBusy):
            tocsin("remove", A)
        assert A in tocsin("list").stdout
    assert stored(data) == [Feed(A)]


# ---------------------------------------------------------------- OPML


def test_an_export_reads_back_equal_and_again(tocsin, data, tmp_path, monkeypatch):
    (tmp_path / "mine.opml").write_text(OPML)
    done = tocsin("add", "mine.opml", B)
    assert "line=5" in done.stderr
    assert "hunter2" not in done.output
    tocsin("export", "copy.opml")
    assert (tmp_path / "copy.opml").stat().st_mode & 0o777 == 0o600
    exported = tocsin("export").stdout
    assert exported == (tmp_path / "copy.opml").read_text()
    assert read_opml(exported.encode(), source="copy") == tuple(stored(data))
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "other"))
    tocsin("add", "copy.opml")
    assert stored(tmp_path / "other") == stored(data)
    assert tocsin("export").stdout == exported


def test_an_export_that_cannot_be_written_is_bad_usage(tocsin):
    tocsin("add", A)
    with pytest.raises(SettingsError, match=r"absent/list\.opml"):
        tocsin("export", "absent/list.opml")


# ---------------------------------------------------------------- credentials


def test_credentials_are_kept_and_shown_nowhere_but_in_the_export(tocsin, data):
    outputs = [tocsin("add", SECRET), tocsin("add", SECRET), tocsin("list"), tocsin("list", "--json")]
    outputs += [tocsin("health"), tocsin("health", "--json"), tocsin("remove", SECRET), tocsin("add", SECRET)]
    assert not [done.output for done in outputs if "hunter2" in done.output or "ann" in done.output]
    assert [PLAIN in done.output for done in outputs] == [True] * len(outputs)
    assert json.loads(outputs[3].stdout)[0]["has_credentials"] is True
    log = (data / "tocsin.log").read_text()
    assert "c.example/feed" in log
    assert "hunter2" not in log
    assert stored(data) == [Feed(SECRET)]
    assert SECRET in tocsin("export").stdout


def test_a_feed_may_be_named_without_its_credentials(tocsin, data):
    tocsin("add", SECRET)
    assert tocsin("add", PLAIN).stdout == f"already followed: {PLAIN}\n"
    assert stored(data) == [Feed(SECRET)]
    tocsin("remove", PLAIN)
    assert stored(data) == []


def test_new_credentials_replace_the_old_and_keep_place_names_and_state(tocsin, data):
    tocsin("add", SECRET, "--title", "C")
    tocsin("add", A)
    with Database(history_path(data)).write() as con:
        save_states(con, [FeedState(SECRET, polled_at=NOW, baseline_at=NOW)])
    renewed = SECRET.replace("hunter2", "hunter3")
    assert tocsin("add", renewed).stdout == f"user and password changed: {PLAIN}\n"
    assert stored(data) == [Feed(renewed, "C"), Feed(A)]
    with Database(history_path(data)).read() as con:
        assert load_states(con, [renewed])[renewed].baseline_at == NOW


@pytest.mark.parametrize("before", [(), (PLAIN, "--title", "C"), (SECRET, "--title", "C")])
def test_the_last_credentials_given_in_one_command_count(tocsin, data, before):
    if before:
        tocsin("add", *before)
    newer = SECRET.replace("hunter2", "hunter3")
    tocsin("add", PLAIN, SECRET, newer, PLAIN, A)
    assert stored(data) == [Feed(newer, "C" if before else None), Feed(A)]


# ---------------------------------------------------------------- health


def fail(data, url, severity, failures):
    exchange = Exchange(url, url, NOW, 0.1, 500)
    failed = FetchFailed(exchange, severity, "http_500", f"Server of {url} answered 500")
    with Database(history_path(data)).write() as con:
        save_states(con, [FeedState(url, polled_at=NOW, failures=failures, next_poll_at=NOW)])
        record_fetches(con, f"run-{url}", [Polled(Feed(url), failed)], {})


def test_health_shows_the_worst_first_and_no_credentials(tocsin, data):
    urls = [f"https://{name}.example/feed" for name in ("ok", "new", "soft2", "soft9", "hard")]
    tocsin("add", *urls, SECRET)
    fail(data, urls[2], "soft", 2)
    fail(data, urls[3], "soft", 9)
    fail(data, urls[4], "hard", 1)
    fail(data, SECRET, "temporary", 1)
    with Database(history_path(data)).write() as con:
        save_states(con, [FeedState(urls[0], polled_at=NOW, succeeded_at=NOW, next_poll_at=NOW)])
    rows = json.loads(tocsin("health", "--json").stdout)
    assert [row["url"] for row in rows] == [urls[4], urls[3], urls[2], PLAIN, urls[1], urls[0]]
    assert (rows[0]["health"], rows[0]["failures"]) == ("never worked", 1)
    assert rows[0]["next_poll_at"] == NOW.isoformat()
    table = tocsin("health").stdout
    assert table.index("hard.example") < table.index("soft9.example") < table.index("ok.example")
    assert "6 feeds, 4 failing" in table
    assert "hunter2" not in table + json.dumps(rows)


def test_health_leaves_out_what_is_not_followed_unless_asked_or_nothing_is(tocsin, data):
    tocsin("add", A, B)
    tocsin("remove", A)
    assert [row["url"] for row in json.loads(tocsin("health", "--json").stdout)] == [B]
    rows = json.loads(tocsin("health", "--all", "--json").stdout)
    assert {row["url"]: row["is_followed"] for row in rows} == {A: False, B: True}
    tocsin("remove", B)
    assert len(json.loads(tocsin("health", "--json").stdout)) == 2


# ---------------------------------------------------------------- check


def test_a_check_explains_each_step_and_writes_nothing(tocsin, data, newsroom):
    done = tocsin("check", newsroom.url("/world-desk/rss.xml"))
    steps = ["Fetch", "Parse", "Identity", "History", "Next poll", "Verdict"]
    assert [line for line in done.stdout.splitlines() if line in steps] == steps
    assert "127.0.0.1: may be connected to" in done.stdout
    assert "answered 200" in done.stdout
    assert "entries are" in done.stdout
    assert "no history yet" in done.stdout
    assert done.stdout.rstrip().endswith("Usable")
    assert not data.exists()


def test_a_check_knows_the_history_and_the_credentials_that_the_list_hides(tocsin, data, newsroom):
    url = newsroom.url("/world-desk/rss.xml")
    secret = url.replace("//", "//ann:hunter2@")
    tocsin("add", secret)
    before = history_path(data).read_bytes()
    done = tocsin("check", url, "--json")
    found = json.loads(done.stdout)
    assert found["url"] == url
    assert found["history"]["is_followed"] is True
    assert found["history"]["new_articles"] == found["contents"]["entries"]
    assert "User and password travel unencrypted: use https" in found["warnings"]
    assert "hunter2" not in done.output
    assert history_path(data).read_bytes() == before


def test_a_check_of_a_page_prints_the_feeds_to_try_and_fails(tocsin, newsroom):
    page = b"<html><head><link rel=alternate type=application/rss+xml href=/world-desk/rss.xml></head></html>"
    newsroom.publish("/page", page, content_type="text/html")
    done = tocsin("check", newsroom.url("/page"), code=1)
    assert f"Try: tocsin feeds check {newsroom.url('/world-desk/rss.xml')}" in done.stdout
    assert "Parse" not in done.stdout.splitlines()


def test_a_check_of_a_private_address_names_the_setting_that_opens_it(tocsin, newsroom, monkeypatch):
    monkeypatch.delenv("TOCSIN_ALLOW_NETWORKS")
    done = tocsin("check", newsroom.url("/world-desk/rss.xml"), code=1)
    assert "not a public address, refused" in done.stdout
    assert "TOCSIN_ALLOW_NETWORKS" in done.stdout
    assert newsroom.requests == []


@pytest.mark.parametrize(
    "wrong",
    ["ftp://ann:hunter2@x.example/", "https://ann:hunter2/@x.example/", "x.example", "https://a b/"],
)
def test_a_check_of_what_is_no_address_is_bad_usage(tocsin, wrong):
    with pytest.raises(SettingsError, match="not an address") as caught:
        tocsin("check", wrong)
    assert "hunter2" not in str(caught.value)


def test_a_name_from_a_list_cannot_steer_the_terminal(tocsin):
    tocsin("add", A, "--title", "\x1b[31mred")
    for shown in (tocsin("list").stdout, tocsin("health").stdout):
        assert "[31mred" in shown
        assert "\x1b" not in shown


def test_the_program_prints_what_is_wrong_and_exits_with_2(data, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tocsin", "feeds", "remove", "https://ann:hunter2@c.example/feed"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("tocsin: No feed is followed yet")
    assert "hunter2" not in printed.err + printed.out
