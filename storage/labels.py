"""Labels: people's yes or no on articles, kept as their reactions stand now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from tocsin.telling import Click
from tocsin.types import Ballot

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Key = tuple[str, str]  # topic, person

# Labels of each answer that a topic learns from: each costs every run a little.
MOST = 100

# Before the alert's id where a button was clicked: reading reactions must not take those labels back.
_CLICKED = "button:"


class LabelledText(NamedTuple):
    """What was judged, and how: the parts of the text that a head reads.

    `embedding` float32 (384,) of the article by the encoder asked for; None where there is none.
    """

    title: str
    summary: str
    positive: bool
    full_text: str | None = None
    embedding: npt.NDArray[np.float32] | None = None


def voted_channels(con: duckdb.DuckDBPyConnection, since: datetime) -> list[str]:
    """List the channels that were told of articles since then, the busiest first."""
    rows = con.execute(
        "SELECT channel FROM alerts WHERE state = 'delivered' AND delivered_at >= ? AND len(topics) > 0 "
        "GROUP BY channel ORDER BY count(*) DESC, channel",
        [since],
    ).fetchall()
    return [channel for (channel,) in rows]


def record_ballots(
    con: duckdb.DuckDBPyConnection, ballots: Iterable[Ballot], now: datetime
) -> tuple[int, int]:
    """Make the labels of these alerts what their ballots say; return how many were added and taken back.

    A vote counts for every topic that the alert named. The labels of other alerts stay. Repeating it changes
    nothing. A vote that was turned round counts as one taken back and one added.
    """
    added = removed = 0
    for ballot in ballots:
        alert = con.execute(
            "SELECT article_id, topics FROM alerts WHERE alert_id = ?", [ballot.alert_id]
        ).fetchone()
        if alert is None:
            continue
        article_id, topics = alert
        wanted = {(topic, person): yes for topic in topics for person, yes in ballot.votes}
        held = _load_held(con, ballot.alert_id)
        gone = [key for key, yes in held.items() if wanted.get(key) is not yes]
        fresh = {key: yes for key, yes in wanted.items() if held.get(key) is not yes}
        _remove(con, ballot.alert_id, gone)
        for (topic, person), yes in fresh.items():
            con.execute(
                "INSERT INTO labels "
                "(article_id, topic, positive, labelled_by, labelled_at, channel, alert_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [article_id, topic, yes, person, now, ballot.channel, ballot.alert_id],
            )
        added, removed = added + len(fresh), removed + len(gone)
    return added, removed


def record_click(
    con: duckdb.DuckDBPyConnection, click: Click, now: datetime
) -> tuple[tuple[str, ...], bool | None] | None:
    """Let a person's click on an alert's button count for every topic that it named.

    A second click on the same button takes it back. Gives the topics and what holds now (None: nothing); None
    if there is no such alert. Reactions are labels of their own and stay.
    """
    alert = con.execute(
        "SELECT article_id, topics FROM alerts WHERE alert_id = ?", [click.alert_id]
    ).fetchone()
    if alert is None:
        return None
    article_id, topics = alert
    name = f"{_CLICKED}{click.alert_id}"
    held = _load_held(con, name)
    said = {yes for (_, person), yes in held.items() if person == click.person}
    _remove(con, name, [key for key in held if key[1] == click.person])
    if said == {click.positive}:
        return tuple(topics), None
    for topic in topics:
        con.execute(
            "INSERT INTO labels (article_id, topic, positive, labelled_by, labelled_at, channel, alert_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [article_id, topic, click.positive, click.person, now, click.channel, name],
        )
    return tuple(topics), click.positive


def load_labels(
    con: duckdb.DuckDBPyConnection, topics: Sequence[str], *, revision: str = "", most: int = MOST
) -> dict[str, list[LabelledText]]:
    """Load by topic what people said of articles, oldest first: the majority's word, none where it ties.

    Of each topic the newest `most` that are relevant, and as many that are not. Only topics with a label are
    keys. `revision` is the encoder's whose embeddings are given too.
    """
    import numpy as np  # noqa: PLC0415  only who scores wants labels; who records them can spare it

    rows = con.execute(
        """
        WITH judged AS (
            SELECT topic, article_id, min(labelled_at) AS labelled_at,
                count(*) FILTER (WHERE positive) > count(*) FILTER (WHERE NOT positive) AS is_positive
            FROM labels WHERE list_contains($topics, topic)
            GROUP BY topic, article_id
            HAVING count(*) FILTER (WHERE positive) <> count(*) FILTER (WHERE NOT positive)
        ),
        ranked AS (
            SELECT judged.*, title, summary, full_text, row_number() OVER (
                PARTITION BY topic, is_positive ORDER BY labelled_at DESC, judged.article_id
            ) AS place
            FROM judged JOIN articles ON articles.article_id = judged.article_id
        )
        SELECT topic, title, summary, is_positive, full_text, embedding
        FROM ranked LEFT JOIN (FROM embeddings WHERE encoder_revision = $revision) AS known
            ON known.article_id = ranked.article_id
        WHERE place <= $most
        ORDER BY topic, labelled_at, ranked.article_id
        """,
        {"topics": list(topics), "revision": revision, "most": most},
    ).fetchall()
    labels: dict[str, list[LabelledText]] = defaultdict(list)
    for topic, title, summary, is_positive, full_text, embedding in rows:
        vector = None if embedding is None else np.array(embedding, np.float32)
        labels[topic].append(LabelledText(title, summary, is_positive, full_text, vector))
    return dict(labels)


def _load_held(con: duckdb.DuckDBPyConnection, alert_id: str) -> dict[Key, bool]:
    rows = con.execute(
        "SELECT topic, labelled_by, positive FROM labels WHERE alert_id = ?", [alert_id]
    ).fetchall()
    return {(topic, person): positive for topic, person, positive in rows}


def _remove(con: duckdb.DuckDBPyConnection, alert_id: str, keys: Iterable[Key]) -> None:
    for topic, person in keys:
        con.execute(
            "DELETE FROM labels WHERE alert_id = ? AND topic = ? AND labelled_by = ?",
            [alert_id, topic, person],
        )
