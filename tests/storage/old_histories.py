"""Small histories as each level of the schema would have written them: its migrations, then plain rows."""

from datetime import UTC, date, datetime, timedelta

import duckdb

from storage.migrate import load_migrations, migrate

WHEN = datetime(2025, 1, 20, 9, tzinfo=UTC)
LEVELS = [migration.number for migration in load_migrations()]
FEED = "https://reader:secret@feeds.example/a"
DEFINITION = (
    '{"name": "chips", "description": "Limits on chips.", "examples": [], "counter_examples": [], '
    '"sensitivity": "balanced", "threshold": 0.5, "channel": null}'
)


def _article(number):
    at = WHEN - timedelta(days=number)
    return {
        "article_id": number,
        "url": f"https://news.example/{number}",
        "title": f"Ministry widens chip licences, part {number}",
        "summary": "The rule takes effect in March.",
        "outlet": f"Outlet {number % 2}",
        "feed_url": FEED,
        "published_at": at,
        "first_seen_at": at,
        "run_id": "run-1",
        "language": "en",
        "full_text": None,
    }


def _score(number, version="v2", **changes):
    return {
        "article_id": number,
        "topic": "chips",
        "topic_version": version,
        "encoder_revision": "enc",
        "head": "zero-shot",
        "score": 0.9 if number % 2 else 0.1,
        "scored_at": WHEN,
        "day": date(2025, 1, 20) - timedelta(days=number),
        "is_newest": version == "v2",
    } | changes


def _topic(version, threshold):
    return {
        "topic": "chips",
        "version": version,
        "definition": DEFINITION,
        "threshold": threshold,
        "recorded_at": WHEN,
        "run_id": "run-1",
    }


def _alert(number, state):
    return {
        "alert_id": f"alert-{number}",
        "article_id": number,
        "channel": "#policy",
        "topic": "chips",
        "topics": ["chips"],
        "score": 0.9,
        "title": f"Ministry widens chip licences, part {number}",
        "url": f"https://news.example/{number}",
        "outlet": "Outlet 1",
        "reasons": '[{"topic": "chips", "score": 0.9, "sentence": "The rule takes effect in March."}]',
        "decided_at": WHEN,
        "run_id": "run-1",
        "state": state,
        "attempts": 1 if state == "delivered" else 0,
        "delivered_at": WHEN if state == "delivered" else None,
        "story_id": number,
        "cause": "story",
        "outlets": 1,
    }


ROWS = {
    "runs": [
        {"run_id": "run-1", "flow": "monitor", "started_at": WHEN, "finished_at": WHEN, "state": "completed"}
    ],
    "feeds": [
        {"url": FEED, "title": "A", "added_at": WHEN, "failures": 0, "baseline_at": WHEN, "polled_at": WHEN}
    ],
    "following": [{"url": FEED, "position": 0, "followed_at": WHEN}],
    "fetches": [
        {
            "run_id": "run-1",
            "feed_url": FEED,
            "fetched_at": WHEN,
            "outcome": "new",
            "status": 200,
            "received_bytes": 900,
            "seconds": 0.2,
            "entries": 5,
            "new_articles": 5,
        }
    ],
    "articles": [_article(number) for number in range(1, 6)],
    "entries": [
        {
            "feed_url": FEED,
            "article_id": number,
            "guid": f"guid-{number}",
            "title": f"Ministry widens chip licences, part {number}",
            "first_seen_at": WHEN - timedelta(days=number),
            "run_id": "run-1",
        }
        for number in range(1, 6)
    ],
    "seen": [{"key": 100 + number, "article_id": number} for number in range(1, 6)],
    "embeddings": [
        {"article_id": number, "encoder_revision": "enc", "embedding": [1.0] + [0.0] * 383}
        for number in range(1, 6)
    ],
    "topics": [_topic("v1", 0.4), _topic("v2", 0.5)],
    "topic_sets": [
        {
            "edition": 1,
            "position": 0,
            "topic": "chips",
            "version": "v1",
            "recorded_at": WHEN,
            "run_id": "run-1",
        },
        {
            "edition": 2,
            "position": 0,
            "topic": "chips",
            "version": "v2",
            "recorded_at": WHEN,
            "run_id": "run-1",
        },
    ],
    "scores": [*(_score(number) for number in range(1, 6)), _score(1, "v1", score=0.3)],
    "alerts": [_alert(1, "delivered"), _alert(3, "pending")],
    "deliveries": [{"alert_id": "alert-1", "attempted_at": WHEN, "state": "delivered", "message_ts": "1.1"}],
    "feed_warnings": [
        {
            "warning_id": "w",
            "feed_url": FEED,
            "kind": "failing",
            "since": WHEN,
            "message": "It fails.",
            "warned_at": WHEN,
            "run_id": "run-1",
        }
    ],
    "unscored": [{"article_id": 5, "encoder_revision": "old", "reason": "language", "marked_at": WHEN}],
    "story_articles": [
        {"story_id": 1, "article_id": number, "likelihood": None if number == 1 else 0.9, "run_id": "run-1"}
        for number in (1, 2, 3)
    ],
    "labels": [
        {
            "article_id": 2,
            "topic": "chips",
            "positive": True,
            "labelled_by": "U1",
            "labelled_at": WHEN,
            "channel": "#policy",
            "alert_id": "alert-1",
        }
    ],
    "channel_troubles": [
        {
            "subject": "channel:#policy",
            "channel": "#policy",
            "code": "not_in_channel",
            "message": "Invite the app.",
            "since": WHEN,
            "run_id": "run-1",
        }
    ],
    "decisions": [
        {
            "article_id": number,
            "topic": "chips",
            "channel": "#policy",
            "run_id": "run-1",
            "decided_at": WHEN,
            "rule": "rings" if number == 1 else "below_threshold",
            "rings": number == 1,
            "score": 0.9,
            "threshold": 0.5,
            "outlets": 1,
            "story_id": number,
            "alert_id": "alert-1" if number == 1 else None,
            "topic_version": "v2",
            "explanation": "It reached the threshold.",
        }
        for number in (1, 4)
    ],
    "message_updates": [
        {"alert_id": "alert-1", "state": "shown", "outlets": 2, "decided_at": WHEN, "attempts": 1}
    ],
    "digests": [
        {
            "digest_id": "d",
            "channel": "#policy",
            "period": "weekly",
            "since": WHEN,
            "until": WHEN,
            "decided_at": WHEN,
            "run_id": "run-1",
            "state": "delivered",
            "attempts": 1,
        }
    ],
    "learning": [
        {
            "topic": "chips",
            "uses_labels": True,
            "decided_at": WHEN,
            "decided_by": "an analyst",
            "report": None,
        }
    ],
    "spikes": [
        {
            "alert_id": "alert-3",
            "topic": "chips",
            "channel": "#policy",
            "run_id": "run-1",
            "decided_at": WHEN,
            "began_at": WHEN - timedelta(hours=6),
            "hours": 6,
            "matches": 9,
            "usual": 1.5,
            "z_score": 4.2,
            "outlets": 2,
            "terms": ["licences"],
            "stories": "[]",
        }
    ],
}


def write_history(path, level):
    """Write the file of that level, and give what it holds: by table, columns and rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(path) as con:
        con.execute("SET TimeZone = 'UTC'")
        migrate(con, load_migrations()[:level])
        columns = {}
        for table, column in con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
        ).fetchall():
            columns.setdefault(table, set()).add(column)
        for table, rows in ROWS.items():
            for row in rows if table in columns else ():
                known = {name: value for name, value in row.items() if name in columns[table]}
                con.execute(
                    f"INSERT INTO {table} ({', '.join(known)}) VALUES ({', '.join('?' * len(known))})",
                    list(known.values()),
                )
        return read_rows(con, {table: sorted(columns[table]) for table in ROWS if table in columns})


def read_rows(con, columns):
    return {
        table: (names, con.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY ALL").fetchall())
        for table, names in columns.items()
    }
