"""Measures `tocsin preview` on an invented past (see `past_news`), with and without the start of a process.

python tests/bench/bench_preview.py [--articles 100000] [--repeat 5]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from past_news import invent_past

from flows.preview_topics import PreviewRequest, preview_topics
from models.encode import load_encoder
from models.topic_edits import edit_topic
from models.topics import default_topics
from storage.database import Database
from storage.folder import history_path
from tocsin.settings import load_settings

_CASES = {
    "threshold changed (stored scores)": ["threshold=0.7"],
    "description and examples changed (stored vectors)": [
        "description=Rules that limit which chips and tools may cross borders, and who gets a licence.",
        "examples+=Minister signs the order on chip tools",
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work [default: the system's]")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-preview-", dir=options.folder))
    try:
        begin = time.perf_counter()
        invent_past(Database(history_path(folder)), default_topics(), articles=options.articles, days=29.5)
        print(f"{options.articles} articles invented in {time.perf_counter() - begin:.0f} s", flush=True)
        for name, edits in _CASES.items():
            _measure(folder, name, edits, options.repeat)
    finally:
        shutil.rmtree(folder)


def _measure(folder, name, edits, repeat):
    settings = load_settings(data=folder)
    changed = edit_topic(default_topics()[0], "export_controls", edits)
    load_encoder()
    inside, outside = [], []
    for _ in range(repeat):
        begin = time.perf_counter()
        (found,) = preview_topics(settings, PreviewRequest([changed], per_day=5.0), now=datetime.now(UTC))
        inside.append(time.perf_counter() - begin)
    command = [sys.executable, "-m", "tocsin", "preview", "--topic", changed.name, "--json", "--per-day", "5"]
    for _ in range(repeat):
        begin = time.perf_counter()
        sets = [part for edit in edits for part in ("--set", edit)]
        subprocess.run([*command, *sets, "--data", folder], check=True, capture_output=True)
        outside.append(time.perf_counter() - begin)
    print(f"{name}: {found.articles} articles, {found.read} read, {found.after.alerts} alerts")
    for what, times in (("in a process that runs", inside), ("command, with its start", outside)):
        print(f"  {what:<24} median {statistics.median(times):.2f} s, fastest {min(times):.2f} s", flush=True)


if __name__ == "__main__":
    main()
