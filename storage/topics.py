"""Topics as they were recorded: every version that came into use, and which topics were in use together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb

from storage.rows import DOUBLE, INTEGER, TEXT, Columns, build_rows, incoming
from tocsin.types import Topic

_TOPICS: Columns = {
    "position": INTEGER,
    "topic": TEXT,
    "version": TEXT,
    "definition": TEXT,
    "threshold": DOUBLE,
}


def record_topics(
    con: duckdb.DuckDBPyConnection,
    topics: Sequence[Topic],
    *,
    run_id: str,
    now: datetime,
    person: str | None = None,
) -> dict[str, str]:
    """Record the topics that a run uses, and who brought them; return the version of each by name.

    A topic gets a row only if it differs from its newest one; the set gets an edition only if it or its order
    differs from the newest. No topics at all is not a choice anybody made: nothing is recorded then.
    """
    rows = [_write_topic(position, topic) for position, topic in enumerate(topics)]
    if _newest_set(con) != [(topic.name, topic.version) for topic in topics]:
        with incoming(con, build_rows(_TOPICS, rows)):
            known = {"now": now, "run_id": run_id, "person": person}
            _add_versions(con, known)
            _add_edition(con, known)
    return {topic.name: topic.version for topic in topics}


def newest_topics(con: duckdb.DuckDBPyConnection) -> tuple[Topic, ...]:
    """Load the topics of the newest set in their order; empty if none were ever recorded."""
    rows = con.execute("SELECT definition FROM current_topics ORDER BY position").fetchall()
    return tuple(Topic.model_validate_json(definition) for (definition,) in rows)


def _newest_set(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return con.execute("SELECT topic, version FROM current_topics ORDER BY position").fetchall()


def _add_versions(con: duckdb.DuckDBPyConnection, known: dict[str, object]) -> None:
    # The newest version of a topic is the one in the newest edition that had the topic.
    con.execute(
        """
        INSERT INTO topics (topic, version, definition, threshold, recorded_at, run_id, recorded_by)
        SELECT topic, version, definition, threshold, $now, $run_id, $person
        FROM incoming ANTI JOIN (
            SELECT topic, arg_max(version, edition) AS version FROM topic_sets GROUP BY topic
        ) USING (topic, version)
        ORDER BY position
        """,
        known,
    )


def _add_edition(con: duckdb.DuckDBPyConnection, known: dict[str, object]) -> None:
    con.execute(
        """
        INSERT INTO topic_sets (edition, position, topic, version, recorded_at, run_id, recorded_by)
        SELECT
            (SELECT coalesce(max(edition), 0) + 1 FROM topic_sets), position, topic, version,
            $now, $run_id, $person
        FROM incoming ORDER BY position
        """,
        known,
    )


def _write_topic(position: int, topic: Topic) -> tuple[object, ...]:
    return position, topic.name, topic.version, topic.model_dump_json(), topic.effective_threshold
