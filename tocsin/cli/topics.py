"""`tocsin topics`: what is watched, how it came about, and changes to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tocsin.errors import SettingsError
from tocsin.settings import Settings, load_settings

if TYPE_CHECKING:
    from flows.topic_store import Topics
    from tocsin.types import Topic

_data = click.option(
    "--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]"
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def topics() -> None:
    """Show and change what is watched. Every version is kept: who made it, when, and what changed.

    A change takes effect with the next run. `tocsin preview` shows beforehand what it would send.
    """


@topics.command("list")
@_json
@_data
def list_topics(*, as_json: bool, data: Path | None) -> None:
    """List the topics in use, in their order."""
    from flows.topic_store import load_topic_history, recorded_topics  # noqa: PLC0415  DuckDB loads when needed
    from tocsin.cli.topic_tables import listed_to_json, print_topics  # noqa: PLC0415

    settings = load_settings(data=data)
    used, history = recorded_topics(settings), load_topic_history(settings)
    newest = {event.topic: event for event in history.events() if event.version}
    if as_json:
        _print_json([listed_to_json(topic, newest.get(topic.name)) for topic in used])
    else:
        print_topics(used, newest)
        _say_file(settings)


@topics.command()
@click.argument("name")
@click.option(
    "--version", metavar="V", help="A recorded version (or its first digits) instead of the newest."
)
@_json
@_data
def show(*, name: str, version: str | None, as_json: bool, data: Path | None) -> None:
    """Print a topic as a file that `tocsin topics import` takes."""
    from models.topics import write_topics  # noqa: PLC0415

    topic = _find(load_settings(data=data), name, version)
    if as_json:
        _print_json({**topic.model_dump(mode="json"), "version": topic.version})
    else:
        click.echo(write_topics([topic]), nl=False)


@topics.command()
@click.argument("name")
@click.argument("versions", metavar="[V1 [V2]]", nargs=-1)
@_json
@_data
def diff(*, name: str, versions: tuple[str, ...], as_json: bool, data: Path | None) -> None:
    """Show what differs between two versions of a topic, field by field.

    Without versions: the newest and the one before. With one: that one and the newest.
    """
    from tocsin.changes import compare_topics  # noqa: PLC0415
    from tocsin.cli.topic_tables import change_to_json, print_changes  # noqa: PLC0415

    old, new = _choose_pair(load_settings(data=data), name, versions)
    changes = compare_topics(old, new)
    if as_json:
        listed = [change_to_json(change) for change in changes]
        _print_json({"topic": name, "before": old.version, "after": new.version, "changes": listed})
    else:
        print_changes(old, new, changes)


@topics.command()
@click.argument("name", required=False)
@_json
@_data
def history(*, name: str | None, as_json: bool, data: Path | None) -> None:
    """Show who changed topics (or one of them), when and how, newest last."""
    from flows.topic_store import load_topic_history  # noqa: PLC0415
    from tocsin.cli.topic_tables import event_to_json, print_events  # noqa: PLC0415

    events = load_topic_history(load_settings(data=data)).events(name)
    if as_json:
        _print_json([event_to_json(event) for event in events])
    elif events:
        print_events(events)
    else:
        click.echo(f"Nothing was recorded of {name or 'topics'} yet.")


@topics.command()
@click.argument("name")
@click.argument("version")
@_data
def restore(*, name: str, version: str, data: Path | None) -> None:
    """Bring a recorded VERSION of a topic (or its first digits) back into use, also of a removed topic."""
    from flows.topic_store import load_topic_history, put_topics  # noqa: PLC0415

    settings = load_settings(data=data)
    wanted = load_topic_history(settings).find(name, version)
    _change(settings, lambda used: put_topics(used, [wanted]))


@topics.command("set")
@click.argument("name")
@click.argument("edits", metavar="FIELD=VALUE...", nargs=-1, required=True)
@_data
def set_fields(*, name: str, edits: tuple[str, ...], data: Path | None) -> None:
    """Change fields of a topic, or add a topic: threshold=0.6, channel=#cables, 'examples+=A headline'.

    Of a list, += adds an item and -= takes one away; = gives one item or a JSON list. FIELD= goes back to the
    default.
    """
    from flows.topic_store import put_topics  # noqa: PLC0415
    from models.topic_edits import edit_topic  # noqa: PLC0415

    def edit(used: Topics) -> Topics:
        base = next((topic for topic in used if topic.name == name), None)
        return put_topics(used, [edit_topic(base, name, edits)])

    _change(load_settings(data=data), edit)


@topics.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="The file is all there is: remove the topics that it lacks.")
@_data
def import_file(*, file: Path, replace: bool, data: Path | None) -> None:
    """Add the topics of FILE (YAML or JSON), or change those of the same name."""
    from flows.topic_store import put_topics  # noqa: PLC0415
    from models.topics import load_topics  # noqa: PLC0415

    given = load_topics(file)
    _change(load_settings(data=data), lambda used: given if replace else put_topics(used, given))


@topics.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@_json
@_data
def export(*, file: Path | None, as_json: bool, data: Path | None) -> None:
    """Write the topics in use to FILE, else to stdout; JSON for a FILE that ends in .json, else YAML."""
    from flows.topic_store import recorded_topics  # noqa: PLC0415
    from models.topics import write_topics  # noqa: PLC0415

    used = recorded_topics(load_settings(data=data))
    document = write_topics(used, as_json=as_json or (file is not None and file.suffix == ".json"))
    if file is None:
        click.echo(document, nl=False)
        return
    try:
        file.write_text(document, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written ({error.strerror})") from error
    click.echo(f"{len(used)} topics written to {file}", err=True)


@topics.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_data
def remove(*, names: tuple[str, ...], data: Path | None) -> None:
    """Stop watching topics. Their versions, scores and alerts stay; `restore` brings one back."""
    from flows.topic_store import find_topic  # noqa: PLC0415

    def drop(used: Topics) -> Topics:
        for name in names:
            find_topic(used, name)
        return tuple(topic for topic in used if topic.name not in names)

    _change(load_settings(data=data), drop)


def _change(settings: Settings, change: Any) -> None:
    from flows.topic_store import change_topics  # noqa: PLC0415
    from tocsin.cli.topic_tables import print_difference  # noqa: PLC0415

    before, after = change_topics(settings, change, now=datetime.now(UTC))
    print_difference(before, after)
    _say_file(settings)


def _say_file(settings: Settings) -> None:
    if settings.topics is not None:
        click.echo(
            f"TOCSIN_TOPICS is set: runs take the topics of {settings.topics}, not these until it is unset.",
            err=True,
        )


def _find(settings: Settings, name: str, version: str | None) -> Topic:
    from flows.topic_store import find_topic, load_topic_history, recorded_topics  # noqa: PLC0415

    if version is not None:
        return load_topic_history(settings).find(name, version)
    return find_topic(recorded_topics(settings), name)


def _choose_pair(settings: Settings, name: str, versions: Sequence[str]) -> tuple[Topic, Topic]:
    from flows.topic_store import load_topic_history  # noqa: PLC0415

    if len(versions) > 2:
        raise click.UsageError("Give at most two versions")
    recorded = load_topic_history(settings)
    known = recorded.versions_of(name)
    if len(versions) < 2 and len(known) < 2 and not (versions and known):
        raise click.ClickException(f"{name}: {len(known) or 'no'} version recorded; a difference needs two")
    pair = [*versions, *known[-1:]] if len(versions) == 1 else list(versions) or known[-2:]
    return recorded.find(name, pair[0]), recorded.find(name, pair[1])


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
