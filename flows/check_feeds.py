"""The `check_feeds` flow: how the followed feeds fare and what is wrong with them now, as a table."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.check_many import Which, check_followed
from flows.monitor import name_run
from flows.under_prefect import named, settings_of_run
from tocsin.logging import logging_run


@flow(name="check_feeds", flow_run_name=named("check feeds"), timeout_seconds=3600, persist_result=False)
def check_feeds(
    which: Annotated[Which, Field(title="Which feeds")] = "ailing",
    at_most: Annotated[int, Field(title="At most", ge=1, le=5000)] = 200,
    data: Path | None = None,
) -> dict[str, Any]:
    """Examine the followed feeds as `tocsin feeds check` does, and leave a table; nothing is written.

    Args:
        which: `ailing`: only those that do not work or were never polled; `all`: each is fetched once.
        at_most: How many feeds are examined at the most, the worst first.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings = settings_of_run(data)
    with logging_run(name_run()):
        checked = check_followed(settings, which=which, at_most=at_most, now=datetime.now(UTC))
    rows = [each.to_row() for each in checked]
    create_table_artifact(key="feed-health", table=rows, description="How feeds fare, the worst first")
    examined = [each.found for each in checked if each.found]
    return {
        "feeds": len(checked),
        "examined": len(examined),
        "usable": sum(found.is_usable for found in examined),
    }
