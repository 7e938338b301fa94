"""Where a history lies: in a data folder's own file, or in a DuckLake whose address the folder keeps."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tocsin.errors import SettingsError

PREFIX = "ducklake:"
LAKE_NAME = "lake.url"  # in a data folder: its history lies where this file says
LOCAL = Path("data")
FORM = (
    "ducklake:sqlite:FILE?data=FOLDER&local=FOLDER or ducklake:postgres:dbname=NAME host=HOST?data=…&local=…"
)
_AS_IT_IS = (
    "/:@ +,;=~()[]!$'*"  # in a folder's name; what would end it or be read otherwise is written as %26
)
_SECRET_PLACE = re.compile(r"\w+:.*@", re.DOTALL)  # as in s3://key:secret@host; a folder may have an @
_SECRET = re.compile(r"\b(?:password|sslpassword)\s*=|://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LakeAddress:
    """A DuckLake: its catalog (`sqlite` or `postgres`, and where), and the folder of its Parquet files.

    Holds no secret: one with a password is refused.
    """

    kind: str
    catalog: str
    data: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.kind}:{self.catalog}?data={quote(self.data, safe=_AS_IT_IS)}"


def is_lake_url(text: str) -> bool:
    """Tell whether this names a DuckLake, rather than a folder."""
    return text.startswith(PREFIX)


def split_place(text: str) -> tuple[LakeAddress, Path]:
    """Read a DuckLake's URL; give its address, and the local folder that goes with it (`data` if none).

    Raises: SettingsError without the text, which may hold a password.
    """
    body, _, query = text.removeprefix(PREFIX).partition("?")
    kind, _, catalog = body.partition(":")
    options = _read_options(query)
    if _SECRET.search(catalog) or _SECRET_PLACE.match(options.get("data", "")):
        raise SettingsError(
            "TOCSIN_DATA: a password has no place in it. Postgres reads PGPASSWORD or PGPASSFILE, "
            "S3 reads AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if kind not in {"sqlite", "postgres"} or not catalog or not options.get("data"):
        raise SettingsError(f"TOCSIN_DATA: this names no DuckLake; write it as {FORM}")
    if unknown := options.keys() - {"data", "local"}:
        raise SettingsError(f"TOCSIN_DATA: a DuckLake has no option {', '.join(sorted(unknown))}")
    address = LakeAddress(kind, _absolute(catalog, kind), _absolute(options["data"], "folder"))
    return address, Path(options.get("local") or LOCAL)


def read_lake(path: Path) -> LakeAddress:
    """Read the address that a data folder keeps in its file `lake.url`. Raises: SettingsError."""
    try:
        return split_place(path.read_text("utf-8").strip())[0]
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error})") from error
    except SettingsError as error:
        raise SettingsError(f"{path} is not as it was written: {error}") from None


def bind_lake(folder: Path, address: LakeAddress) -> None:
    """Keep the address in a data folder, so that whoever works with the folder finds the same history.

    Raises: SettingsError if the folder has a history of its own, or another DuckLake.
    """
    path = folder / LAKE_NAME
    if path.exists():
        if read_lake(path) != address:
            raise SettingsError(f"{path} names another DuckLake; choose another local folder (local=…)")
        return
    if (folder / "tocsin.duckdb").exists():
        raise SettingsError(
            f"{folder} holds a history in a file already; move it with `tocsin migrate {folder} URL`, "
            "or choose another local folder"
        )
    draft = path.with_name(f"{LAKE_NAME}.{os.getpid()}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{address}\n", "utf-8")
        draft.replace(path)
    except OSError as error:
        raise SettingsError(f"Data folder {folder}: cannot be written to ({error.strerror})") from error


def _read_options(query: str) -> dict[str, str]:
    """Read `key=value&…`; %XX stands for a character, and + for itself: folders have such names."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {key: unquote(value) for key, _, value in pairs}


def _absolute(place: str, kind: str) -> str:
    """Make a path on this machine absolute: processes in other folders read the same address."""
    if kind == "postgres":
        return place
    if match := re.match(r"^(s3|gcs|r2|https?):/+(.*)", place):  # a Path joins slashes
        return f"{match[1]}://{match[2]}"
    return str(Path(place).absolute())
