"""`tocsin backup`, `restore`, `prune` and `check` as a user runs them."""

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from old_histories import LEVELS, write_history

from storage.database import Database
from storage.folder import lock_data_folder
from storage.history_file import read_published
from tocsin.cli import cli
from tocsin.errors import SettingsError, StorageBusy, StorageError


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_history(tmp_path / "data" / "tocsin.duckdb", LEVELS[-1])
    return tmp_path / "data"


def ask(*arguments, code=0):
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_a_history_is_backed_up_restored_and_published(data, tmp_path):
    assert "read back: the same" in ask("backup", "b.duckdb")
    said = ask("restore", "b.duckdb", "--data", "other")
    assert "rows restored from a backup made at" in said
    assert "Published." in said
    with read_published(tmp_path / "other") as con:
        assert con.execute("SELECT count(*) FROM articles").fetchall() == [(5,)]
    assert json.loads(ask("check", "--data", "other", "--json"))["ok"]


def test_a_restore_over_a_history_needs_force_and_says_what_it_kept(data):
    ask("backup", "b.duckdb", "--json")
    with pytest.raises(StorageError, match="--force"):
        ask("restore", "b.duckdb")
    told = json.loads(ask("restore", "b.duckdb", "--force", "--quietly", "--json"))
    assert told["aside"].endswith("tocsin.duckdb.before-restore")
    assert told["publish_error"] is None


def test_check_ends_with_1_and_says_what_to_do_where_something_is_wrong(data):
    ask("publish")
    assert "every block read" in ask("check")
    with Database(data / "tocsin.duckdb").write() as con:
        con.execute("DELETE FROM articles WHERE article_id = 4")
    told = json.loads(ask("check", "--json", code=1))
    assert not told["ok"]
    [wrong] = [each for each in told["checks"] if each["state"] == "wrong"]
    assert wrong["check"] == "orphans"
    assert "backup" in wrong["advice"]


def test_prune_counts_first_and_removes_then(data):
    assert "would go" in ask("prune", "--older-than", "92d", "--dry-run")
    told = json.loads(
        ask("prune", "--older-than", "92d", "--what", "articles", "--what", "fetches", "--json")
    )
    assert told["removed"]["articles"] == 2
    assert told["publish_error"] is None
    assert ask("prune", "--older-than", "92d").startswith("Before ")


def test_prune_without_an_age_takes_that_of_the_settings_or_none(data, monkeypatch):
    with pytest.raises(SettingsError, match="TOCSIN_PRUNE_OLDER_THAN"):
        ask("prune")
    monkeypatch.setenv("TOCSIN_PRUNE_OLDER_THAN", "1y")
    assert "2 articles" in ask("prune")


def test_the_flow_prunes_as_the_command_does(data, monkeypatch):
    from flows.prune import prune

    with pytest.raises(SettingsError, match="nothing is pruned"):
        prune.fn(data=data)
    assert prune.fn(older_than="1y", what=["articles"], data=data)["removed"]["articles"] == 2


@pytest.mark.parametrize(
    "words", [("backup", "b.duckdb"), ("restore", "data/tocsin.duckdb", "--data", "data")]
)
def test_a_run_in_the_folder_is_waited_for(words, data, monkeypatch):
    monkeypatch.setattr("tocsin.cli.backup.LONGEST_WAIT", timedelta(0))
    monkeypatch.setattr("tocsin.cli.restore.LONGEST_WAIT", timedelta(0))
    with lock_data_folder(data), pytest.raises(StorageBusy, match="another run"):
        ask(*words)
