"""The pollers that are compared: how each is called, and how many entries it stored."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
from measured import Taken, run_measured

from storage.database import FILE_NAME

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_VERSIONS = (
    "import importlib.metadata as m, sys; print(*(f'{p} {m.version(p)}' for p in sys.argv[1:]), sep=', ')"
)
_NEWSBOAT_THREADS = 4


@dataclass(frozen=True, slots=True)
class Poller:
    """A poller with its version.

    `stored` is the file and the table of its entries. `share` is the part of the feeds that it is given.
    `settles`: it needs a second poll, not measured,
    before it sends validators (newsboat 2.21 saves those of the first poll before the feed has a row).
    """

    name: str
    version: str
    command: tuple[str, ...]
    stored: tuple[str, str]
    share: float = 1.0
    settles: bool = False

    def poll(self, folder: Path, urls: Sequence[str]) -> tuple[Taken, int]:
        """Poll once with the data in `folder`; returns what it took and how many entries are stored then."""
        folder.mkdir(parents=True, exist_ok=True)
        listed = folder / "urls"
        listed.write_text("\n".join(urls) + "\n")
        # Nothing of the person who runs this: neither settings nor proxies nor data.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(_ROOT),
            "LC_ALL": "C.UTF-8",
        }
        command = [part.format(folder=folder, urls=listed) for part in self.command]
        return run_measured(command, environment=environment), self.count_stored(folder)

    def count_stored(self, folder: Path) -> int:
        """Count the entries in the poller's own database; apart, so that it costs none of them anything."""
        file, table = self.stored
        if self.name == "tocsin":
            with duckdb.connect(folder / file, read_only=True) as con:
                return int(con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
        with closing(sqlite3.connect(folder / file)) as con:
            return int(con.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def find_pollers(reader_python: Path | None, *, naive_share: float) -> list[Poller]:
    """Tocsin and those of its peers that this machine has."""
    tocsin = Poller(
        "tocsin",
        _version(sys.executable, "tocsin", "duckdb", "httpx"),
        _script("poll_with_tocsin.py"),
        (FILE_NAME, "articles"),
    )
    naive = Poller(
        "naive",
        _version(sys.executable, "httpx", "feedparser"),
        _script("poll_with_httpx.py"),
        ("entries.sqlite", "entries"),
        naive_share,
    )
    found = [tocsin, _find_newsboat(), _find_reader(reader_python), naive if naive_share else None]
    return [poller for poller in found if poller is not None]


def _find_newsboat() -> Poller | None:
    program = shutil.which("newsboat")
    if program is None:
        print("newsboat is not installed (Debian: apt-get install newsboat): left out")
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    shell = (
        f"printf 'reload-threads {_NEWSBOAT_THREADS}\\n' > {{folder}}/config && "
        f"exec {program} -q -C {{folder}}/config -u {{urls}} -c {{folder}}/cache.db -x reload"
    )
    version = said.split("\n")[0].split(" - ")[0]
    return Poller("newsboat", version, ("/bin/sh", "-c", shell), ("cache.db", "rss_item"), settles=True)


def _find_reader(python: Path | None) -> Poller | None:
    if python is None or not python.exists():
        print("reader has no environment (`make bench-poll` makes one): left out")
        return None
    script = _script("poll_with_reader.py", str(python))
    return Poller("reader", _version(str(python), "reader"), script, ("reader.sqlite", "entries"))


def _script(name: str, python: str = sys.executable) -> tuple[str, ...]:
    return python, str(_HERE / name), "{folder}", "{urls}"


def _version(python: str, *packages: str) -> str:
    done = subprocess.run([python, "-c", _VERSIONS, *packages], capture_output=True, text=True, check=True)
    return done.stdout.strip()
