"""The docs are a promise: what exists is described, and what is described exists."""

import inspect
import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml

from tocsin.cli import cli
from tocsin.settings import Settings

ROOT = Path(__file__).parent.parent


def every_command(group, prefix=""):
    """Every command under its full name, such as `feeds add`; a group stands beside its commands."""
    context = click.Context(group)
    found = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found[prefix + name] = command
        if isinstance(command, click.Group):
            found |= every_command(command, f"{prefix}{name} ")
    return found


COMMANDS = every_command(cli)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    section = read("docs/commands.md").partition(f"## `tocsin {name}")[2].partition("\n## ")[0]
    assert section, f"docs/commands.md has no section on `tocsin {name}`"
    assert f"tocsin {name.split()[0]}" in read("README.md")
    missing = [
        option
        for parameter in COMMANDS[name].params
        for option in parameter.opts
        if isinstance(parameter, click.Option) and f"`{option}" not in section
    ]
    assert not missing


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_is_documented_that_does_not_exist(name):
    section = read("docs/commands.md").partition(f"## `tocsin {name}")[2].partition("\n## ")[0]
    exist = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    rows = [line for line in section.splitlines() if line.startswith("| `-")]
    assert {option for row in rows for option in re.findall(r"(--?[a-z][\w-]*)", row.split("|")[1])} <= exist


def test_every_setting_is_documented():
    text = read("docs/settings.md")
    tokens = ("slack_bot_token", "slack_app_token")
    names = [f"TOCSIN_{name.upper()}" for name in Settings.model_fields if name not in tokens]
    assert not [name for name in [*names, *map(str.upper, tokens)] if f"| `{name}` |" not in text]


FLOWS = ("monitor", "digest", "prune", "rescore", "preview", "learn", "deliver", "check_feeds", "watch_runs")


@pytest.mark.parametrize("name", [*FLOWS, "publish"])
def test_every_flow_parameter_is_documented_and_described_in_its_form(name):
    flow = getattr(import_module("flows.publishing" if name == "publish" else f"flows.{name}"), name)
    text = read("docs/settings.md").partition(f"## Parameters of the `{name}` flow")[2].partition("\n## ")[0]
    form = flow.parameters.properties
    assert set(form) == set(inspect.signature(flow.fn).parameters)
    assert not [name for name in form if f"| `{name}` |" not in text]
    assert not [name for name, field in form.items() if not field.get("description")]


def test_every_field_of_a_topic_is_described_in_the_form():
    from flows.monitor import monitor

    topic = monitor.parameters.definitions["Topic"]["properties"]
    assert not [
        name for name, field in topic.items() if not field.get("title") or not field.get("description")
    ]


def test_the_parameters_of_the_weekly_flow_are_described_too():
    from flows.watch_drift import watch_drift

    assert "`watch_drift`" in read("docs/settings.md")
    assert [field.get("description") for field in watch_drift.parameters.properties.values()] == [
        "Data folder. Empty: TOCSIN_DATA, else data/."
    ]


def test_every_table_view_and_column_of_the_history_is_documented():
    from storage.database import Database

    text = read("docs/history.md") + read("docs/views.md")
    with Database(None).read() as con:
        columns = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
        comments = con.execute(
            "SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal "
            "UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
    sections = defaultdict(str)
    for part in re.split(r"\n### ", text)[1:]:
        sections[part.split("`")[1]] += part
    assert not [name for name, comment in comments if not comment]
    assert not {table for table, _ in columns} - set(sections)
    assert not [f"{table}.{column}" for table, column in columns if f"`{column}`" not in sections[table]]


def test_every_picture_is_small_and_shown_with_words_for_those_who_cannot_see_it():
    pictures = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("*")}
    pages = "".join(read(f"docs/{page}.md") for page in ("slack", "report", "trends", "prefect"))
    shown = re.findall(r"!\[([^\]]{20,})\]\(images/([^)]+)\)", pages)
    assert {name for _, name in shown} == set(pictures)
    assert not [name for name, size in pictures.items() if size > 150_000]


@pytest.mark.parametrize(
    "page",
    sorted(path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]),
)
def test_every_link_in_the_docs_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", read(page))
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


def test_the_topic_in_the_readme_is_one_that_can_be_used():
    from tocsin.types import Topic

    block = re.search(r"```yaml\n(.*?)```", read("README.md"), re.DOTALL).group(1)
    assert [Topic.model_validate(item).name for item in yaml.safe_load(block)] == ["undersea_cables"]


def test_every_make_target_is_explained():
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    explained = re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE)
    assert targets == explained
