"""Where a history lies: what is read, what is refused, and that no password is repeated."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.folder import history_path
from tocsin.errors import SettingsError
from tocsin.place import LakeAddress, bind_lake, read_lake, split_place
from tocsin.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("text", "address", "local"),
    [
        (
            "ducklake:sqlite:/var/c.sqlite?data=/var/p&local=/var/l",
            LakeAddress("sqlite", "/var/c.sqlite", "/var/p"),
            "/var/l",
        ),
        (
            "ducklake:postgres:dbname=t host=db user=u?data=s3://bucket/path",
            LakeAddress("postgres", "dbname=t host=db user=u", "s3://bucket/path"),
            "data",
        ),
        (
            "ducklake:postgres:dbname=t?data=s3:/bucket/path",  # a Path joined its slashes
            LakeAddress("postgres", "dbname=t", "s3://bucket/path"),
            "data",
        ),
    ],
)
def test_a_url_names_catalog_parquet_and_local_folder(text, address, local):
    assert split_place(text) == (address, Path(local))
    assert split_place(str(address))[0] == address


def test_paths_of_this_machine_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert split_place("ducklake:sqlite:c.sqlite?data=p")[0] == LakeAddress(
        "sqlite", str(tmp_path / "c.sqlite"), str(tmp_path / "p")
    )


@pytest.mark.parametrize(
    "text",
    [
        "ducklake:postgres:dbname=t password=hunter2?data=/p",
        "ducklake:postgres:dbname=t PASSWORD = hunter2?data=/p",
        "ducklake:postgres:postgresql://u:hunter2@host/t?data=/p",
        "ducklake:sqlite:/c?data=s3://key:hunter2@bucket/p",
        "ducklake:mysql:hunter2?data=/p",
        "ducklake:sqlite:/hunter2",
        "ducklake:sqlite:?data=/hunter2",
        "ducklake:sqlite:/c?data=/p&secret=hunter2",
    ],
)
def test_a_password_and_what_is_no_ducklake_are_refused_without_being_repeated(text):
    with pytest.raises(SettingsError) as error:
        load_settings(data=text)
    assert "hunter2" not in str(error.value)
    assert "TOCSIN_DATA" in str(error.value)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1))
@example("@")
def test_any_folder_is_found_again_by_the_address_that_is_kept(name):
    address = LakeAddress("sqlite", "/c.sqlite", str(Path(f"/p/{name}x")))
    assert split_place(str(address))[0] == address


def test_a_plus_and_a_percent_stand_for_themselves_and_for_a_character():
    assert split_place("ducklake:sqlite:/c?data=/a+b%26c")[0].data == "/a+b&c"


def test_an_address_that_was_spoilt_names_its_file(tmp_path):
    (tmp_path / "lake.url").write_text("")
    with pytest.raises(SettingsError, match=r"lake\.url is not as it was written"):
        read_lake(tmp_path / "lake.url")


def test_a_url_in_the_data_setting_is_kept_in_its_local_folder(tmp_path):
    url = f"ducklake:sqlite:{tmp_path}/c.sqlite?data={tmp_path}/p&local={tmp_path}/local"
    for place in (url, Path(url)):
        settings = load_settings(data=place)
        assert settings.data == tmp_path / "local"
        assert settings.lake == f"ducklake:sqlite:{tmp_path}/c.sqlite?data={tmp_path}/p"
    path = history_path(settings.data)
    assert path.name == "lake.url"
    assert str(read_lake(path)) == settings.lake


def test_the_lake_setting_goes_with_any_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TOCSIN_LAKE", f"ducklake:sqlite:{tmp_path}/c.sqlite?data={tmp_path}/p")
    assert history_path(load_settings(data=tmp_path / "local").data).name == "lake.url"


def test_a_folder_without_an_address_has_its_history_in_a_file(tmp_path):
    assert history_path(load_settings(data=tmp_path).data) == tmp_path / "tocsin.duckdb"
    assert Settings(data=tmp_path).lake is None


def test_a_folder_keeps_one_history(tmp_path):
    address = LakeAddress("sqlite", "/c.sqlite", "/p")
    bind_lake(tmp_path / "a", address)
    bind_lake(tmp_path / "a", address)
    with pytest.raises(SettingsError, match="another DuckLake"):
        bind_lake(tmp_path / "a", LakeAddress("sqlite", "/other.sqlite", "/p"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "tocsin.duckdb").touch()
    with pytest.raises(SettingsError, match="tocsin migrate"):
        bind_lake(tmp_path / "b", address)
    assert not (tmp_path / "b" / "lake.url").exists()
