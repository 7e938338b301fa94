"""`tocsin share` says what is missing before it listens, and never the token."""

import pytest
from click.testing import CliRunner

from tocsin.cli.share import share
from tocsin.errors import SettingsError


@pytest.fixture
def run(tmp_path, monkeypatch):
    def run(*options, token="a token of some length"):
        if token is None:
            monkeypatch.delenv("TOCSIN_SHARE_TOKEN", raising=False)
        else:
            monkeypatch.setenv("TOCSIN_SHARE_TOKEN", token)
        return CliRunner().invoke(share, ["--data", str(tmp_path), *options])

    return run


@pytest.mark.parametrize(("token", "told"), [(None, "unset"), ("short", "too short")])
def test_a_token_that_is_missing_or_short_is_refused_without_telling_it(run, token, told):
    result = run(token=token)
    assert isinstance(result.exception, SettingsError)
    assert f"TOCSIN_SHARE_TOKEN: {told}" in str(result.exception)


@pytest.mark.parametrize("listen", ["9494", "localhost:", "localhost:http", ":9494", "localhost:70000"])
def test_an_address_without_host_or_port_is_bad_usage(run, listen):
    result = run("--listen", listen)
    assert result.exit_code == 2
    assert "is not HOST:PORT" in result.output


def test_a_folder_where_nothing_was_published_is_named(run, tmp_path):
    result = run()
    assert result.exit_code == 1
    assert str(tmp_path) in str(result.exception)
