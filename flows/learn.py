"""The `learn` flow: lets people's labels count in scores where that is better, and says by how much."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from pydantic import Field

from flows.refit import labelled_topics, learn_topic
from flows.under_prefect import named, settings_of_run, writing


@flow(name="learn", flow_run_name=named("learn"), timeout_seconds=2 * 3600, persist_result=False)
def learn(
    topics: Annotated[list[str] | None, Field(title="Topics", examples=[["ai_safety"]])] = None,
    dry_run: Annotated[bool, Field(title="Only compare")] = False,
    data: Path | None = None,
) -> list[dict[str, Any]]:
    """Compare each topic's head with and without people's labels, and use them only where that is better.

    Args:
        topics: Names of topics. Empty: all that have a label.
        dry_run: Compare, and leave all as it is.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    settings = settings_of_run(data)
    names = topics or labelled_topics(settings)
    with writing():
        found = [learn_topic(settings, name, now=datetime.now(UTC), keep=not dry_run) for name in names]
    rows = [{"topic": each.topic, "what": each.message} for each in found]
    create_table_artifact(key="learned", table=rows, description="What labels make of scores")
    return [each.to_dict() for each in found]
