"""Which score of an article and topic is in use: turned round where another one takes its place."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np

from storage.lake import speaks_lake
from storage.marks import mark_changed


def turn_newest(
    con: duckdb.DuckDBPyConnection, source: str, where: str, values: Mapping[str, object] | None = None
) -> None:
    """Turn `is_newest` of the scores that `where` picks beside `source`, and mark their months as changed."""
    change = f"UPDATE scores SET is_newest = NOT scores.is_newest FROM {source} WHERE {where}"  # noqa: S608
    given = dict(values or {})
    if speaks_lake(con):  # it returns nothing of what it updates
        days = con.execute(f"SELECT DISTINCT scores.day FROM scores, {source} WHERE {where}", given)  # noqa: S608
        changed = days.fetchnumpy()
        con.execute(change, given)
    else:
        changed = con.execute(f"{change} RETURNING scores.day", given).fetchnumpy()
    mark_changed(con, "scores", np.unique(changed["day"].astype("datetime64[M]")).astype(str).tolist())
