"""Labels of articles that are not in the project: ids and topics here, the articles in the data's folder."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from models.evaluate import LabelledArticle

POOL_LABELS = Path(__file__).with_name("pool_labels.jsonl")


def read_pool(data: Path, labels: Path = POOL_LABELS) -> list[LabelledArticle]:
    """Join the pool's articles with the labels that were given to some of them, in the order of their ids."""
    given = {each["id"]: each for each in map(json.loads, labels.read_text(encoding="utf-8").splitlines())}
    with gzip.open(data / "pool.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = {
            each["id"]: each | given[each["id"]] for each in map(json.loads, lines) if each["id"] in given
        }
    return [_labelled(found[key]) for key in sorted(found)]


def _labelled(item: dict[str, Any]) -> LabelledArticle:
    return LabelledArticle(
        item["title"], item["summary"] or "", frozenset(item["topics"]), frozenset(item["unsure"])
    )
