"""The report page: its numbers are SQL's, it loads nothing, and no headline is more than text in it."""

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from invented_news import invent_news

from storage.history_file import read_published
from storage.report import load_report
from tocsin.cli.report import report
from tocsin.cli.report_page import link, make_page, text
from tocsin.errors import SettingsError, StorageError

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "'\"><svg onload=window.hacked=1> & more",
    "\u202egnp.exe\u2066 turned round",
    "<!-- ]]> {{7*7}} ${title} \x1b[31m\x00",
    "عنوان من اليمين إلى اليسار",
)


class Page(HTMLParser):
    """Collects what a page would load or run, its texts by element, and the cells of its tables."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.loads, self.handlers, self.ids, self.stack = [], [], [], [], []
        self.scripts, self.cells, self.headings = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.stack.append(tag)
        for name, value in attributes:
            if name in {"src", "srcset", "data", "action", "poster"} or (name == "href" and tag == "link"):
                self.loads.append((tag, value))
            if name.startswith("on") or name == "style":
                self.handlers.append((tag, name))
            if name == "id":
                self.ids.append(value)
        if tag == "script":
            self.scripts.append("")
        if tag in {"td", "th"}:
            self.cells.append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop() != tag:
            pass

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts[-1] += data
        elif self.cells and {"td", "th"} & set(self.stack):
            self.cells[-1] += data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "data"
    invent_news(folder, now=NOW, days=40, a_day=30, titles=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def facts(data):
    with read_published(data) as con:
        return load_report(con, since=NOW.date() - timedelta(days=27), until=NOW.date())


@pytest.fixture(scope="module")
def page(facts):
    return make_page(facts, title=HOSTILE[0], now=NOW)


def test_the_command_writes_one_file_in_place_of_the_old(data, tmp_path):
    path = tmp_path / "deep" / "report.html"
    for days in ("28d", "7d"):
        asked = ["--html", str(path), "--data", str(data), "--since", days, "--title", "My <b>week</b>"]
        result = CliRunner().invoke(report, asked, catch_exceptions=False)
        assert result.exit_code == 0
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
    written = path.read_text(encoding="utf-8")
    assert '<h1 dir="auto">My &lt;b&gt;week&lt;/b&gt;</h1>' in written
    assert f'datetime="{NOW.date() - timedelta(days=6)}"' in written


def test_no_history_and_no_place_to_write_are_clear_errors(data, tmp_path):
    with pytest.raises(StorageError, match="nothing was published yet"):
        CliRunner().invoke(report, ["--html", "x", "--data", str(tmp_path)], catch_exceptions=False)
    (tmp_path / "file").write_text("")
    asked = ["--html", str(tmp_path / "file" / "x.html"), "--data", str(data)]
    with pytest.raises(SettingsError, match="cannot be written"):
        CliRunner().invoke(report, asked, catch_exceptions=False)


def test_the_page_loads_nothing_and_runs_its_own_script_only(page):
    read = Page(page)
    assert read.loads == []
    assert read.handlers == []
    assert not {"img", "iframe", "object", "embed", "link", "base", "video", "audio"} & set(read.tags)
    assert len(read.scripts) == 2
    assert "url(http" not in page
    assert "@import" not in page
    assert re.search(r"content=\"default-src &#x27;none&#x27;; style-src &#x27;sha256-", page)
    script = (ROOT / "tocsin/cli/page/page.js").read_text(encoding="utf-8")
    assert read.scripts[1] == script
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|import\(|XMLHttp", script
    )


def test_hostile_headlines_are_text_in_tables_and_in_data(page):
    read = Page(page)
    assert "window.hacked=1</script>" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert any("<img src=x onerror=window.hacked=1>" in cell for cell in read.cells)
    assert any("عنوان" in cell for cell in read.cells)
    assert json.loads(read.scripts[0])["topics"]
    assert "<" not in read.scripts[0]


def test_links_are_followed_only_where_that_is_safe():
    assert "href" not in link("Click", "javascript:alert(1)")
    assert "href" not in link("Click", "https://bank.example@evil.example/")
    assert "href" not in link("Click", None)
    shown = link("bank.example <b>", 'https://evil.example/"onclick=x')
    assert "evil.example</small>" in shown
    assert '"onclick' not in shown
    assert text("a" * 999).endswith("…")


def test_numbers_of_the_page_are_those_of_sql(page, data, facts):
    given = json.loads(Page(page).scripts[0])
    since = facts.since
    with read_published(data) as con:
        trend = con.execute(
            "SELECT day, topic, matches, corrected_share_7d FROM topic_trend WHERE day >= ? "
            "AND topic IN (SELECT topic FROM current_topics)",
            [since],
        ).fetchall()
        weeks = con.execute(
            "SELECT date_trunc('week', day)::DATE, topic, sum(matches) FROM topic_daily "
            "WHERE day >= ? GROUP BY ALL",
            [since],
        ).fetchall()
        outlets = con.execute(
            "SELECT outlet, topic, count(*) FROM matches WHERE day >= ? GROUP BY ALL", [since]
        ).fetchall()
        total = con.execute("SELECT count(*) FROM matches WHERE day >= ?", [since]).fetchone()[0]
        alerts = con.execute(
            "SELECT count(*) FROM alerts WHERE CAST(decided_at AT TIME ZONE 'UTC' AS DATE) >= ?", [since]
        ).fetchone()[0]
        best = con.execute(
            "SELECT max(outlets) FROM top_stories WHERE day >= ? AND topic = ?", [since, facts.topics[0]]
        ).fetchone()[0]
    assert {(each["d"], each["t"]): (each["m"], each["c"]) for each in given["days"]} == {
        (str(day), topic): (matches, None if share is None else round(share, 5))
        for day, topic, matches, share in trend
    }
    assert {(each["week"], each["topic"]): each["matches"] for each in given["weeks"]} == {
        (str(week), topic): matches for week, topic, matches in weeks
    }
    shown = {(each["outlet"], each["topic"]): each["matches"] for each in given["outlets"] if each["matches"]}
    assert shown == {(outlet, topic): matches for outlet, topic, matches in outlets}
    assert (facts.totals["matches"], facts.totals["alerts"]) == (total, alerts)
    assert f"<dd>{total:,}</dd>" in page
    assert next(each["outlets"] for each in facts.stories if each["topic"] == facts.topics[0]) == best
    assert len(facts.alerts) == alerts


def test_a_table_holds_what_a_chart_shows(page, facts):
    cells = Page(page).cells
    day = facts.days[-1]
    assert f"{day.corrected_share_7d:.2%} ({day.matches})" in cells
    assert cells.count(str(day.day)) >= 1


def test_the_page_has_language_landmarks_and_headings_in_order(page):
    read = Page(page)
    assert '<html lang="en">' in page
    assert {"header", "nav", "main", "footer"} <= set(read.tags)
    assert read.headings == ["h1", *["h2"] * 6]
    assert len(read.ids) == len(set(read.ids))


def test_a_history_without_any_match_makes_a_page_too(tmp_path):
    invent_news(tmp_path / "data", now=NOW, days=3, a_day=9)
    with read_published(tmp_path / "data") as con:
        facts = load_report(con, since=NOW.date() + timedelta(days=2), until=NOW.date() + timedelta(days=3))
    assert "Nothing on these days." in make_page(facts, title="Empty", now=NOW)


def contrast(one, other):
    def light(colour):
        digits = colour.lstrip("#")
        digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((light(one), light(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_and_lines_stands_out_by_wcag_aa(theme):
    style = (ROOT / "tocsin/cli/page/page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+):(#\w+)", re.findall(r":root\{(.*?)\}", style, re.DOTALL)[theme]))
    for name in ("ink", "soft", "link", "bad", "ok", "focus", "c0", "c1", "c2", "c3", "c4"):
        for ground in ("bg", "panel"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_a_browser_finds_nothing_wrong_at_phone_and_desktop_width_in_light_and_dark(page, tmp_path):
    modules, node = ROOT / "tests/browser/node_modules", shutil.which("node")
    if node is None or not modules.exists() or not Path("/usr/bin/chromium").exists():
        pytest.skip("needs node, chromium and `make browser`")
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    script = ROOT / "tests/browser/look.cjs"
    ran = subprocess.run(
        [node, script, path],
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    for found in json.loads(ran.stdout):
        assert found["requests"] == [path.as_uri()]
        assert (found["errors"], found["violations"]) == ([], [])
        assert not found["hacked"]
        assert found["outside"] == 0
        assert found["charts"] == 3
        assert found["scrollWidth"] <= found["width"]
        assert found["shifted"] < 0.01
        days = [found[name] for name in ("before", "after", "first")]
        assert days[0] > days[1] > days[2]
        assert found["said"].startswith(days[1])
        assert found["chosenNone"] == 0
        assert found["chosenAll"] > 0
