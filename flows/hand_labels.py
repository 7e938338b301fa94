"""Labels by hand: which articles to ask a person about, and their answers, also as a table; no Prefect."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from flows.topic_store import find_topic, recorded_topics
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.hand_labels import (
    HandLabel,
    Question,
    load_hand_labelled,
    load_questions,
    record_hand_labels,
)
from tocsin.errors import SettingsError
from tocsin.settings import Settings

COLUMNS = ("article", "answer", "title", "summary", "outlet", "first_seen_at", "score")
_ANSWERS: dict[str, bool | None] = {
    **dict.fromkeys(("yes", "y", "1", "true", "relevant"), True),
    **dict.fromkeys(("no", "n", "0", "false", "irrelevant"), False),
    "remove": None,
}
_LONGEST = 1_000  # characters of a summary in a table
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a text for a formula


def find_questions(settings: Settings, name: str, *, limit: int) -> list[Question]:
    """Find the articles that a topic is least sure of and nobody judged, the nearest to its threshold first.

    Raises: TopicError for an unknown topic, StorageError.
    """
    topic = find_topic(recorded_topics(settings), name)
    with Database(history_path(settings.data)).read() as con:
        return load_questions(con, name, threshold=topic.effective_threshold, limit=limit)


def keep_answers(settings: Settings, labels: Sequence[HandLabel], *, now: datetime) -> tuple[int, int]:
    """Keep a person's answers; return how many labels were added and taken back. Waits for a run."""
    if not labels:
        return 0, 0
    with lock_data_folder(settings.data):
        return Database(history_path(settings.data)).change(
            lambda con: record_hand_labels(con, labels, person=settings.person, now=now)
        )


def write_table(settings: Settings, name: str, *, limit: int) -> str:
    """Write a topic's questions, and the person's answers so far, as CSV that `read_table` takes back."""
    questions = find_questions(settings, name, limit=limit)
    with Database(history_path(settings.data)).read() as con:
        answered = load_hand_labelled(con, name, person=settings.person)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_write_row, [*questions, *answered]))
    return buffer.getvalue()


def read_table(path: Path, name: str) -> list[HandLabel]:
    """Read the answers of a table; rows without one are passed over. Raises: SettingsError with the line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    rows = csv.DictReader(io.StringIO(text), dialect=_guess(text))
    if not {"article", "answer"} <= set(rows.fieldnames or ()):
        raise SettingsError(
            f"{path}: has no columns article and answer; make one with `tocsin label --export`"
        )
    found = (_read_row(row, name, f"{path}, line {rows.line_num}") for row in rows)
    return [label for label in found if label is not None]


def _guess(text: str) -> type[csv.Dialect]:
    """Take what spreadsheets write: commas, or semicolons where a comma is part of a number."""

    class Dialect(csv.excel):
        delimiter = ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","

    return Dialect


def _write_row(each: Question) -> tuple[str, ...]:
    # As text: a spreadsheet keeps 15 digits of a number, and an id has up to 19.
    answer = "" if each.answer is None else "yes" if each.answer else "no"
    texts = (each.title, each.summary[:_LONGEST], each.outlet)
    seen = each.first_seen_at.isoformat(timespec="minutes")
    return (f"a{each.article_id}", answer, *map(_harmless, texts), seen, f"{each.score:.3f}")


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _read_row(row: dict[str, str | None], name: str, place: str) -> HandLabel | None:
    answer = (row["answer"] or "").strip().lower()
    if not answer:
        return None
    if answer not in _ANSWERS:
        raise SettingsError(f"{place}: answer {answer!r}: write yes, no, remove, or nothing")
    article = (row["article"] or "").strip().removeprefix("a")
    if not article.isdecimal():
        raise SettingsError(f"{place}: article {row['article']!r} is no id; leave that column alone")
    return HandLabel(int(article), name, _ANSWERS[answer])
