"""Measures rescoring: one new topic over a generated history of any size, scores written; and searching it.

python tests/bench/bench_rescore.py [--articles 1000000] [--publish]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from invented_history import NOW, invent_history

from flows.rescoring import RescoreRequest, rescore_history
from models.encode import load_encoder
from models.text import compose_text
from storage.database import Database
from storage.folder import history_path
from storage.publish import publish
from storage.scores import store_embeddings
from storage.search import Filters, Question, search_history
from tocsin.types import Topic

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 50_000
NEW = Topic(
    name="undersea_cables",
    description="Damage to, building of and rules for undersea telecommunication cables.",
    examples=("Baltic states investigate second cut cable in a month",),
    counter_examples=("Cable television operator raises prices",),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, default=1_000_000)
    parser.add_argument(
        "--publish", action="store_true", help="publish before, and after as rescore does; then search"
    )
    parser.add_argument("--folder", type=Path, help="where to work [default: the system's]")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-rescore-", dir=options.folder))
    try:
        for line in _measure(folder, options):
            print(line, flush=True)
    finally:
        shutil.rmtree(folder)


def _measure(folder, options):
    yield f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    db, encoder = Database(history_path(folder)), load_encoder()
    invent_history(db, options.articles)
    _invent_vectors(db, encoder, options.articles)
    if options.publish:
        begin = time.perf_counter()
        publish(db, now=NOW)
        yield f"publish all: {time.perf_counter() - begin:.1f} s"
    yield f"{options.articles:,} articles, live file {db.path.stat().st_size / 1e9:.2f} GB"
    changed = NEW.model_copy(update={"description": NEW.description + " Also their repair."})
    for what, topic, by_vectors in (
        ("new topic, by vectors alone", NEW.model_copy(update={"name": "cables_by_vectors"}), True),
        ("new topic", NEW, False),
        ("the same again", NEW, False),
        ("changed topic", changed, False),
    ):
        request = RescoreRequest((topic,), by_vectors=by_vectors)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the peak
        used = time.process_time()
        report = rescore_history(
            db if options.publish else _unpublished(db),
            request,
            load_encoder=lambda: encoder,
            run_id=what,
            clock=lambda: datetime.now(UTC),
        )
        used = time.process_time() - used
        peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text("utf-8"))[1]) / 1000
        yield (
            f"{what}: {report.seconds} processor {used:.1f} s, {report.added:,} scores added, "
            f"{report.texts:,} texts read, peak {peak:.0f} MB, load {os.getloadavg()[0]:.1f}"
        )

    if options.publish:
        yield from _searches(folder, encoder)


def _searches(folder, encoder):
    text = "chip smuggling through Malaysia"
    vector = encoder.embed([text])[0].tolist()
    recent = Filters(since=(NOW - timedelta(days=90)).date())
    for what, question in (
        ("by meaning", Question(vector=vector, revision=encoder.revision)),
        ("by words", Question(text)),
        ("both, 90 days", Question(text, vector, encoder.revision, recent)),
    ):
        begin, used = time.perf_counter(), time.process_time()
        found = search_history(folder, question, limit=20)
        seconds, used = time.perf_counter() - begin, time.process_time() - used
        yield f"search {what}: {seconds:.2f} s, processor {used:.2f} s, {len(found)} found"
    size = sum(file.stat().st_size for file in (folder / "history" / "embeddings").rglob("*.parquet"))
    yield f"published embeddings: {size / 1e6:.0f} MB"


def _unpublished(db):
    import flows.rescoring as module

    module.publish = lambda *_, **__: None
    return db


def _invent_vectors(db, encoder, articles):
    """Give each article the vector of a sample headline, moved at random, so that near and far ones exist."""
    feeds = sorted((ROOT / "deploy" / "newsroom").glob("*/*.xml"))
    titles = [
        title
        for feed in feeds
        for title in re.findall("<title>(.*?)</title>", feed.read_text("utf-8", "ignore"))
    ]
    base = encoder.embed([compose_text(title, "") for title in titles])
    rng = np.random.default_rng(1)
    for first in range(0, articles, CHUNK):
        ids = np.arange(first, min(first + CHUNK, articles))
        noise = rng.standard_normal((len(ids), base.shape[1])).astype(np.float32) * 0.03
        vectors = base[rng.integers(0, len(base), len(ids))] + noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with db.write() as con:
            store_embeddings(con, encoder.revision, ids.tolist(), vectors)


if __name__ == "__main__":
    main()
