"""Labels of articles that lie outside the project."""

import gzip
import json

from models.pool import POOL_LABELS, read_pool
from models.topics import default_topics


def _write_pool(folder, *items):
    lines = "".join(json.dumps(item) + "\n" for item in items)
    (folder / "pool.jsonl.gz").write_bytes(gzip.compress(lines.encode()))


def test_labelled_articles_are_joined_by_id_and_others_left_out(tmp_path):
    _write_pool(
        tmp_path,
        {"id": "n2", "title": "Two", "summary": None},
        {"id": "n9", "title": "Nine", "summary": ""},
        {"id": "n1", "title": "One", "summary": "First."},
    )
    labels = tmp_path / "labels.jsonl"
    labels.write_text(
        '{"id": "n1", "topics": ["censorship"], "unsure": []}\n'
        '{"id": "n2", "topics": [], "unsure": ["censorship"]}\n'
    )
    one, two = read_pool(tmp_path, labels)
    assert (one.title, one.summary, one.topics, one.unsure) == (
        "One",
        "First.",
        frozenset({"censorship"}),
        frozenset(),
    )
    assert (two.title, two.summary, two.unsure) == ("Two", "", frozenset({"censorship"}))


def test_the_shipped_labels_name_each_article_once_and_default_topics_only():
    labels = [json.loads(line) for line in POOL_LABELS.read_text().splitlines()]
    names = {topic.name for topic in default_topics()}
    assert len({label["id"] for label in labels}) == len(labels)
    for label in labels:
        assert set(label) == {"id", "topics", "unsure"}  # ids and labels, never a text
        assert set(label["topics"]) | set(label["unsure"]) <= names
        assert not set(label["topics"]) & set(label["unsure"])
