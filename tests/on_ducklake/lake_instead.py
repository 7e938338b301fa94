"""Makes new histories lie in a DuckLake instead of a file, for tests that know nothing of one."""

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


class Switch:
    """Whether new histories lie in a DuckLake now; processes that are started meanwhile do the same."""

    is_on = False

    def turn(self, is_on):
        self.is_on = is_on
        kept = [
            each
            for each in os.environ.get("PYTHONPATH", "").split(os.pathsep)
            if each not in {str(FOLDER), ""}
        ]
        os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER), *kept] if is_on else kept)


SWITCH = Switch()


def redirect(module):
    """Have `Database` use a DuckLake beside the file that it was given, where there is no such file."""
    database = module.Database
    begin, open_ = database.__init__, database._open

    def begin_there(self, path, **options):
        begin(self, _beside(path) if SWITCH.is_on and path is not None else path, **options)

    def open_there(self, *, read_only):
        if SWITCH.is_on and not read_only:
            _bind(self.path)
        return open_(self, read_only=read_only)

    database.__init__, database._open = begin_there, open_there


def _beside(path):
    from tocsin.place import LAKE_NAME

    if path.suffix != ".duckdb" or path.exists():
        return path
    folder = path.parent if path.name == "tocsin.duckdb" else path.with_suffix("")
    return folder / LAKE_NAME


def _bind(path):
    from tocsin.place import LAKE_NAME, LakeAddress, bind_lake

    if path.name == LAKE_NAME and not path.exists():
        parts = path.parent / "lake"
        bind_lake(path.parent, LakeAddress("sqlite", str(parts / "catalog.sqlite"), str(parts / "parquet")))


class RedirectAtImport:
    """Finds nothing by itself: redirects `storage.database` as soon as something imports it."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "storage.database":
            return None
        sys.meta_path.remove(RedirectAtImport)
        from importlib.util import find_spec

        spec = find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_redirect(module):
            execute(module)
            redirect(module)

        spec.loader.exec_module = execute_and_redirect
        return spec
