"""`tocsin share`: the published history for readers on other machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tocsin.cli.screen import make_console
from tocsin.cli.signals import stop_on_signals
from tocsin.errors import SettingsError, StorageError
from tocsin.logging import configure_logging
from tocsin.settings import Settings, load_settings

if TYPE_CHECKING:
    from storage.share import Listening, SharedHistory

LEAST_TOKEN = 16
_HIGHEST_PORT = 65_535


@click.command()
@click.option(
    "--listen", default="localhost:9494", show_default=True, metavar="HOST:PORT", help="Where to listen."
)
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look for a newer version.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder. [default: TOCSIN_DATA or data/]")
def share(*, listen: str, every: float, data: Path | None) -> None:
    """Answer SQL of DuckDB clients on other machines from what is published, until stopped.

    Clients show the token in TOCSIN_SHARE_TOKEN. They can only select. Nothing is encrypted.
    """
    from storage.share import share_history  # noqa: PLC0415  what loads slowly is loaded when needed

    settings = load_settings(data=data)
    listening = _read_listening(settings, listen)
    configure_logging(settings.data, level=settings.log_level)
    stopping = stop_on_signals()
    with share_history(settings.data, listening) as shared:
        make_console().print(
            f"Sharing {settings.data} at {listening.address} (reading only, not encrypted). Ctrl-C ends it."
        )
        while not stopping.wait(every):
            _refresh(shared)


def _read_listening(settings: Settings, listen: str) -> Listening:
    from storage.share import Listening  # noqa: PLC0415

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _HIGHEST_PORT:
        raise click.BadParameter(f"{listen} is not HOST:PORT, as in localhost:9494", param_hint="--listen")
    token = settings.share_token.get_secret_value() if settings.share_token else ""
    if len(token) < LEAST_TOKEN:
        raise SettingsError(
            f"TOCSIN_SHARE_TOKEN: {'unset' if not token else 'too short'}; clients must show it, and it has "
            f"{LEAST_TOKEN} characters or more, as `openssl rand -hex 24` makes them"
        )
    return Listening(host, int(port), token)


def _refresh(shared: SharedHistory) -> None:
    """Show a newer version; what cannot be read now is tried again."""
    try:
        shared.refresh()
    except StorageError as error:
        click.echo(f"Still showing the version before: {error}", err=True)
