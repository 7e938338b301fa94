"""What is published, and how each table changes: facts only."""

from __future__ import annotations

from dataclasses import dataclass

# Never published: the identities ever seen, marks, and the list of feeds with its passwords.
KEPT_BACK = frozenset({"seen", "publication_marks", "following"})


@dataclass(frozen=True, slots=True)
class Derived:
    """A view over a growing table that is published as rows of its own, made of that table's new rows alone.

    `sums` are counts that may come in parts and are added up when files are merged; without any the rows are
    as final as those of the table.
    """

    name: str
    sums: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table that is published, and where its rows go.

    `time` names the column whose month (UTC) a row is published under; None: the table is one part.
    `grows`: rows are only added, and `storage.marks` tells of any that change all the same; `anchor` names
    columns that never change. Other tables are compared whole, part by part, by `compared` (none: all).
    """

    name: str
    time: str | None = None
    grows: bool = False
    anchor: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    derived: tuple[Derived, ...] = ()


_KNOWN = (
    PublishedTable("articles", "first_seen_at", grows=True, anchor=("article_id", "title")),
    PublishedTable("entries", "first_seen_at", grows=True, anchor=("article_id", "feed_url", "title")),
    PublishedTable(
        "scores",
        "day",
        grows=True,
        anchor=("article_id", "topic", "topic_version", "head", "score"),
        derived=(
            Derived("match_scores"),
            Derived("scored_feed_days", sums=("articles", "matches")),
            Derived("scored_hours", sums=("articles", "matches")),
        ),
    ),
    PublishedTable("embeddings", "day", grows=True, anchor=("article_id", "encoder_revision")),
    PublishedTable("fetches", "fetched_at", grows=True, anchor=("run_id", "feed_url")),
    PublishedTable("story_articles", grows=True, anchor=("story_id", "article_id")),
    PublishedTable("deliveries", "attempted_at", grows=True, anchor=("alert_id", "attempted_at", "state")),
    PublishedTable("unscored", "marked_at", grows=True, anchor=("article_id", "encoder_revision")),
    PublishedTable("decisions", "decided_at", grows=True, anchor=("article_id", "topic", "channel", "rule")),
    PublishedTable("alerts", "decided_at"),
    PublishedTable("runs", "started_at", compared=("run_id", "started_at", "finished_at", "state")),
    PublishedTable("pruned_feed_days", "day"),
    PublishedTable("pruned_hours", "hour"),
    PublishedTable("feeds"),
    PublishedTable("feed_warnings"),
    PublishedTable("channel_troubles"),
    PublishedTable("labels"),
    PublishedTable("topics"),
    PublishedTable("topic_sets"),
    PublishedTable("schema_migrations"),
)
_BY_NAME = {table.name: table for table in _KNOWN}
DERIVED = {each.name: each for table in _KNOWN for each in table.derived}

# Embeddings are published as whole numbers from -127 to 127, a quarter of their size: the direction stays and
# the length does not, so that readers compare by cosine (docs/search.md has what that costs).
_ROUNDED = (
    "list_transform([greatest(list_max({name}), -list_min({name}), 1e-9)], lambda largest: "
    "list_transform({name}, lambda number: CAST(round(127 * number / largest) AS TINYINT)))[1] AS {name}"
)

# Columns that may hold a feed's user and password; they are published without.
ADDRESSES = frozenset({"feed_url", "final_url", "validators_url", "moved_to", "redirect_to"})


def choose_tables(names: list[str]) -> list[PublishedTable]:
    """Choose what to publish of the tables there are; one that nobody described is compared whole."""
    wanted = [name for name in sorted(names) if name not in KEPT_BACK]
    return [_BY_NAME.get(name) or PublishedTable(name) for name in wanted]


def select_column(table: str, column: str) -> str:
    """Write the SQL that gives a column as it is published."""
    name = f'"{column}"'
    if (table, column) == ("embeddings", "embedding"):
        return _ROUNDED.format(name=name)
    if column in ADDRESSES or (table, column) == ("feeds", "url"):
        return f"regexp_replace({name}, '^([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#]*@', '\\1') AS {name}"
    return name
