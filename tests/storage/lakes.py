"""What the tests of DuckLake share: databases in a Postgres, and a Postgres that a test may stop."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

# A Postgres to make databases in, as libpq writes it: "host=/tmp/socket user=postgres".
POSTGRES = os.environ.get("TOCSIN_TEST_POSTGRES")
PASSWORD = "not-to-be-told"


def make_database(name):
    name = f"tocsin_{os.getpid()}_{abs(hash(name))}"
    subprocess.run(["psql", "-q", f"{POSTGRES} dbname=postgres", "-c", f"CREATE DATABASE {name}"], check=True)
    return name


class Server:
    """A Postgres of the tests' own, with a password, on a socket in a folder of its own."""

    def __init__(self, folder, programs):
        self.folder, self._programs = folder, programs
        self.connection = f"host={folder} user=postgres"

    def make(self):
        (self.folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:  # which Postgres refuses to run as
            shutil.chown(self.folder, "postgres")
            shutil.chown(self.folder / "password", "postgres")
        options = ["-U", "postgres", "-A", "scram-sha-256", "--pwfile", self.folder / "password", "-N"]
        self._run("initdb", "-D", self.folder / "data", *options)

    def start(self):
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self._control("start", "-l", self.folder / "log", "-o", options)

    def stop(self):
        self._control("stop", "-m", "immediate")

    def ask(self, sql, database="postgres"):
        done = subprocess.run(self.client(database, sql), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def client(self, database, sql):
        return ["psql", "-qAt", f"{self.connection} dbname={database} password={PASSWORD}", "-c", sql]

    def _control(self, *arguments):
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-t", "120", *arguments)

    def _run(self, program, *arguments):
        command = [str(self._programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        subprocess.run(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
        )


@contextmanager
def own_postgres():
    """Run a Postgres that a test may stop and start; skip where none can be made."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or shutil.which("initdb")
    if POSTGRES is None or not found:
        pytest.skip("TOCSIN_TEST_POSTGRES names no Postgres, or initdb is not installed")
    with tempfile.TemporaryDirectory(prefix="tocsin-pg-") as folder:
        server = Server(Path(folder), Path(found if isinstance(found, str) else found[-1]).parent)
        server.make()
        server.start()
        try:
            yield server
        finally:
            if (server.folder / "data" / "postmaster.pid").exists():
                server.stop()
