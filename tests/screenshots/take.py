"""Takes the pictures of docs/images: what people see in Slack, composed by the product of invented news.

    python tests/screenshots/take.py [--chromium chromium]

Needs chromium, such as Debian's. The window is made as high as the page.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from block_page import page_of  # noqa: E402
from PIL import Image  # noqa: E402  it comes with matplotlib

from flows.alerts.chart import draw_week  # noqa: E402
from flows.alerts.compose import compose_message  # noqa: E402
from flows.alerts.compose_list import compose_list  # noqa: E402
from flows.alerts.digest import compose_digest, digest_id_of, last_period  # noqa: E402
from flows.feeds.health import find_warnings  # noqa: E402
from flows.warn import compose_troubles, compose_warnings  # noqa: E402
from tocsin.telling import Digest, TopicDigest, TopStory  # noqa: E402
from tocsin.types import Alert, ChannelTrouble, Feed, FeedState, Reason  # noqa: E402

FOLDER = ROOT / "docs" / "images"
NOW = datetime(2026, 11, 23, 9, 14, tzinfo=UTC)
TUNE = "https://prefect.example/deployments/monitor?topic={topic}"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
)
WIDTH = 720

FIRST = Alert(
    alert_id="a",
    article_id=5213308117402219633,
    channel="policy",
    title="Ministry adds lithography spare parts to its export licence list",
    url="https://meridian-wire.example/2026/11/23/licence-list",
    outlet="Meridian Wire",
    published_at=NOW - timedelta(minutes=22),
    decided_at=NOW,
    reasons=(
        Reason(
            "export_controls",
            0.97,
            "From 1 January, makers of lithography equipment need a licence to ship spare parts "
            "and to send service staff.",
        ),
        Reason(
            "us_china_rivalry", 0.71, "Beijing called the step “economic coercion” and announced a review."
        ),
    ),
    story_id=1,
)
LATER = ("Circuit Gazette", "Harbour Ledger", "Kestrel Post", "Pacific Dispatch", "Rhine Echo", "World Desk")
LISTED = (
    (
        "ai_regulation",
        "Parliament agrees on duties for makers of general-purpose models",
        "Policy Courier",
        5,
    ),
    ("data_privacy", "Court halts transfer of health records to cloud firm", "Rhine Echo", 7),
    (
        "open_weights",
        "Lab publishes weights of its largest model under a research licence",
        "Signal Notes",
        9,
    ),
    ("export_controls", "Chip maker asks for exemption from new licence rule", "Circuit Gazette", 11),
    ("censorship", "Provider ordered to block three news sites before the vote", "Kestrel Post", 14),
)


def alert_pages():
    """Give the pages of alerts by name."""
    sent = compose_message(FIRST, now=NOW, tune_url=TUNE)
    updated = compose_message(replace(FIRST, also_in=LATER), now=NOW, tune_url=TUNE)
    development = replace(
        FIRST,
        article_id=1180442093571186402,
        title="Chip stocks fall as licence list widens",
        url="https://harbour-ledger.example/markets/licence-list",
        outlet="Harbour Ledger",
        published_at=NOW + timedelta(hours=2),
        reasons=(
            Reason("market_impact", 0.88, "Shares of three equipment makers lost more than six per cent."),
        ),
        cause="topic",
        also_in=(*LATER[:1], *LATER[2:], "Meridian Wire"),
    )
    joined = compose_message(development, now=NOW + timedelta(hours=2, minutes=9), tune_url=TUNE)
    return {
        "alert": [{"message": sent, "time": "9:14 AM"}],
        "alert-updated": [
            {"message": updated, "time": "9:14 AM", "edited": True},
            {"message": joined, "time": "11:23 AM", "thread_of": FIRST.title},
        ],
    }


def list_page():
    """Give the page of a list of alerts that waited: the last of a queue of more than forty."""
    alerts = [
        replace(
            FIRST,
            alert_id=f"l{n}",
            title=title,
            outlet=outlet,
            url=f"https://{outlet.lower().replace(' ', '-')}.example/{n}",
            published_at=NOW - timedelta(hours=hours),
            reasons=(Reason(topic, 0.9, ""),),
        )
        for n, (topic, title, outlet, hours) in enumerate(reversed(LISTED))
    ]
    return {"list": [{"message": compose_list(alerts, now=NOW), "time": "9:15 AM"}]}


def warning_page():
    """Give the page of what operators are told."""
    url = "https://policy-courier.example/atom.xml"
    since = NOW - timedelta(days=3)
    state = FeedState(url, failing_since=since, failures=19, succeeded_at=since - timedelta(hours=2))
    trouble = ChannelTrouble(
        "channel:policy",
        "policy",
        "is_archived",
        "Slack channel policy: it is archived; unarchive it or give the topic another channel (is_archived)",
    )
    (first,) = compose_warnings(
        find_warnings([state], NOW), {url: Feed(url, title="Policy Courier")}, channel="ops", now=NOW
    )
    (second,) = compose_troubles([trouble], channel="ops", now=NOW)
    return {
        "warning": [
            {"message": compose_message(each, now=NOW), "time": time}
            for each, time in ((first, "9:14 AM"), (second, "9:20 AM"))
        ]
    }


def digest_page():
    """Give the page of a digest, and the chart that it shows."""
    period = last_period("weekly", NOW)
    days = tuple(date(2026, 11, 16) + timedelta(days=n) for n in range(7))
    rows = {
        "export_controls": (21, 14, 63, (2, 3, 1, 4, 6, 3, 2)),
        "ai_regulation": (17, 17, 41, (3, 4, 2, 3, 4, 1, 0)),
        "us_china_rivalry": (9, 12, 30, (1, 2, 1, 1, 3, 1, 0)),
        "data_privacy": (6, 4, 9, (0, 1, 2, 1, 1, 0, 1)),
        "open_weights": (2, 3, 5, (0, 0, 1, 0, 0, 1, 0)),
        "censorship": (0, 1, 0, (0,) * 7),
        "device_bans": (0, 0, 0, (0,) * 7),
    }
    heads = {
        "export_controls": (
            ("Ministry adds lithography spare parts to its export licence list", "Meridian Wire", 14, 0.98),
            ("Customs seizes 4,000 accelerators bound for shell company", "Harbour Ledger", 9, 0.96),
            ("Allies agree on common list of quantum equipment", "World Desk", 6, 0.93),
        ),
        "ai_regulation": (
            ("Parliament agrees on duties for makers of general-purpose models", "Policy Courier", 11, 0.97),
            ("Regulator opens first case under the model rules", "Rhine Echo", 5, 0.91),
        ),
        "us_china_rivalry": (
            ("Beijing reviews exports of gallium after licence move", "Pacific Dispatch", 8, 0.9),
        ),
        "data_privacy": (("Court halts transfer of health records to cloud firm", "Rhine Echo", 3, 0.88),),
        "open_weights": (("Lab publishes weights of its largest model", "Signal Notes", 1, 0.83),),
    }
    topics = tuple(
        TopicDigest(
            name,
            stories,
            before,
            articles,
            tuple(
                TopStory(n, title, f"https://news.example/{n}", outlet, outlets, score)
                for n, (title, outlet, outlets, score) in enumerate(heads.get(name, ()))
            ),
            daily,
        )
        for name, (stories, before, articles, daily) in rows.items()
    )
    digest = Digest(digest_id_of("policy", period), "policy", period, topics, days)
    message = compose_digest(digest, FIRST, now=NOW, image_id="F0CHART")
    return {"digest": [{"message": message, "time": "9:05 AM"}]}, {"F0CHART": draw_week(digest)}


def take(chromium, name, page):
    """Write a page's picture, as high as the page needs."""
    with tempfile.TemporaryDirectory() as folder:
        path, profile = Path(folder) / "page.html", f"--user-data-dir={folder}/profile"
        path.write_text(page + "<script>document.title=document.body.offsetHeight</script>", encoding="utf-8")
        dumped = subprocess.run(
            [chromium, *FLAGS, profile, f"--window-size={WIDTH},600", "--dump-dom", path.as_uri()],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
        height = int(re.search(r"<title>(\d+)</title>", dumped)[1])
        size = f"--window-size={WIDTH},{height}"
        target = f"--screenshot={FOLDER / f'{name}.png'}"
        command = [chromium, *FLAGS, profile, size, "--force-device-scale-factor=1.5", target, path.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    path = FOLDER / f"{name}.png"
    with Image.open(path) as picture:  # 64 colours are enough, and a quarter of the bytes
        picture.convert("RGB").quantize(64).save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default="chromium")
    asked = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    digest, images = digest_page()
    for name, messages in {**alert_pages(), **list_page(), **warning_page(), **digest}.items():
        take(asked.chromium, name, page_of(messages, images))
        print(name, (FOLDER / f"{name}.png").stat().st_size)


if __name__ == "__main__":
    main()
