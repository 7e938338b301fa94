"""Topics as people keep them: what is in use, how it came about, and changes to it; no Prefect."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flows.chosen import topics_in_use
from storage.database import Database
from storage.folder import history_path, lock_data_folder
from storage.topic_history import Edition, load_definitions, load_editions
from storage.topics import newest_topics, record_topics
from tocsin.changes import TopicEvent, compare_topics
from tocsin.errors import TopicError
from tocsin.settings import Settings
from tocsin.types import Topic

Topics = tuple[Topic, ...]


@dataclass(frozen=True, slots=True)
class TopicHistory:
    """All sets of topics that were in use, oldest first, and every definition by name and version."""

    editions: tuple[Edition, ...] = ()
    definitions: dict[tuple[str, str], Topic] | None = None

    def find(self, name: str, version: str) -> Topic:
        """Find a recorded version by its hash or the beginning of it. Raises: TopicError."""
        known = self.versions_of(name)
        found = [each for each in known if each.startswith(version)]
        if len(found) != 1:
            raise TopicError(_no_version(name, version, known, len(found)))
        return (self.definitions or {})[name, found[0]]

    def versions_of(self, name: str) -> list[str]:
        """List the versions of a topic in the order in which they came into use; the last one may return."""
        used = (edition.versions[name] for edition in self.editions if name in edition.versions)
        return list(dict.fromkeys(reversed(list(used))))[::-1]

    def events(self, name: str | None = None) -> list[TopicEvent]:
        """List what happened to topics (or to one of them), oldest first."""
        found: list[TopicEvent] = []
        before: dict[str, str] = {}
        for edition in self.editions:
            found += self._events_of(edition, before)
            before = edition.versions
        return [event for event in found if name in {None, event.topic}]

    def _events_of(self, edition: Edition, before: dict[str, str]) -> Iterable[TopicEvent]:
        stamp = edition.number, edition.recorded_at, edition.recorded_by, edition.run_id
        known = self.definitions or {}
        for topic, version in edition.versions.items():
            old = before.get(topic)
            if old is None:
                yield TopicEvent(*stamp, topic, "added", version)
            elif old != version:
                changes = compare_topics(known[topic, old], known[topic, version])
                yield TopicEvent(*stamp, topic, "changed", version, changes)
        for topic in before:
            if topic not in edition.versions:
                yield TopicEvent(*stamp, topic, "removed", None)


def load_topic_history(settings: Settings) -> TopicHistory:
    """Load how topics came to be as they are; empty if nothing was recorded yet. Raises: StorageError."""
    path = history_path(settings.data)
    if not path.exists():
        return TopicHistory()
    with Database(path).read() as con:
        return TopicHistory(tuple(load_editions(con)), load_definitions(con))


def change_topics(
    settings: Settings, change: Callable[[Topics], Sequence[Topic]], *, now: datetime
) -> tuple[Topics, Topics]:
    """Bring changed topics into use from the next run on; return them as they were and as they are.

    `change` is given the topics recorded last, or where none were those a run would take now. It waits for
    a run that works in the data folder.
    Raises: TopicError if none would be left or two have one name, StorageBusy, StorageError.
    """
    run_id = str(uuid.uuid4())

    def record(con: Any) -> tuple[Topics, Topics]:
        recorded = newest_topics(con)
        before = recorded or _unrecorded(settings)
        after = tuple(change(before))
        _check(after)
        if not recorded and {topic.name for topic in before} & {topic.name for topic in after}:
            record_topics(con, before, run_id=run_id, now=now)  # so that it shows what was changed
        record_topics(con, after, run_id=run_id, now=now, person=settings.person)
        return before, after

    with lock_data_folder(settings.data):
        return Database(history_path(settings.data)).change(record)


def recorded_topics(settings: Settings) -> Topics:
    """Give the topics recorded last, or where none were those that a run would take now."""
    path = history_path(settings.data)
    if path.exists():
        with Database(path).read() as con:
            if found := newest_topics(con):
                return found
    return topics_in_use(settings)


def find_topic(topics: Sequence[Topic], name: str) -> Topic:
    """Find a topic by name. Raises: TopicError naming those there are."""
    for topic in topics:
        if topic.name == name:
            return topic
    raise TopicError(f"{name}: there is no such topic; there are {', '.join(each.name for each in topics)}")


def put_topics(topics: Sequence[Topic], changed: Iterable[Topic]) -> Topics:
    """Put topics into a set: in the place of one of the same name, else at the end."""
    by_name = {topic.name: topic for topic in topics}
    return tuple((by_name | {topic.name: topic for topic in changed}).values())


def _unrecorded(settings: Settings) -> Topics:
    from models.topics import default_topics, load_topics  # noqa: PLC0415  only where none were recorded

    return load_topics(settings.topics) if settings.topics else default_topics()


def _check(topics: Topics) -> None:
    names = [topic.name for topic in topics]
    if not names:
        raise TopicError("No topic would be left: a run without topics has nothing to watch; add one first")
    if twins := {name for name in names if names.count(name) > 1}:
        raise TopicError(f"{', '.join(sorted(twins))}: defined twice; give each topic a name of its own")


def _no_version(name: str, version: str, known: Sequence[str], count: int) -> str:
    if not known:
        return f"{name}: no version of such a topic was ever recorded; `tocsin topics history` lists them"
    problem = "fits several versions" if count else "is none of its versions"
    return f"{name}: {version} {problem}: {', '.join(known)}"
