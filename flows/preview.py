"""The `preview` flow: what changed topics would have sent, as pages and tables in Prefect's UI."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from pydantic import Field

from flows.preview_report import TopicPreview
from flows.preview_topics import PreviewRequest, preview_topics
from flows.under_prefect import named, settings_of_run
from tocsin.types import Topic


@flow(name="preview", flow_run_name=named("preview"), timeout_seconds=1800, persist_result=False)
def preview(
    topics: Annotated[list[Topic] | None, Field(title="Topics")] = None,
    days: Annotated[int, Field(title="Days", ge=1, le=365, examples=[30])] = 30,
    per_day: Annotated[float | None, Field(title="Wished a day", gt=0, le=1000, examples=[5])] = None,
    baseline: Annotated[bool, Field(title="Leave out first polls")] = True,
    data: Path | None = None,
) -> list[dict[str, Any]]:
    """Show what changed or new topics would have sent over the last days, beside the versions in use.

    Nothing is changed and nothing is sent: to use a topic, give it to `monitor`.

    Args:
        topics: The topics as they would be. Empty: those in use, as they are.
        days: How many days back, today included.
        per_day: Suggest for each topic the threshold that would have sent about so many alerts a day.
        baseline: Leave out what came with the first poll of its feed, as runs do.
        data: Data folder. Empty: TOCSIN_DATA, else data/.
    """
    request = PreviewRequest(topics=topics or None, days=days, per_day=per_day, baseline=baseline)
    found = preview_topics(settings_of_run(data), request, now=datetime.now(UTC))
    for each in found:
        _show(each)
    return [each.to_dict() for each in found]


def _show(found: TopicPreview) -> None:
    """Leave a page with the chart, and tables that Prefect's UI lets people sort."""
    key = found.topic.replace("_", "-")
    create_markdown_artifact(
        key=f"preview-{key}", markdown=found.to_markdown(), description=f"What {found.topic} would have sent"
    )
    days = [{"day": day, "in use": old, "changed": new} for day, (old, new) in found.by_day.items()]
    create_table_artifact(key=f"preview-{key}-days", table=days, description="Alerts a day")
    for name, articles in (("gained", found.gained), ("lost", found.lost)):
        rows = [
            {
                "score": round(each.score, 3),
                "seen": each.first_seen_at,
                "outlet": each.outlet,
                "title": each.title,
            }
            for each in articles
        ]
        create_table_artifact(key=f"preview-{key}-{name}", table=rows, description=f"Alerts {name}")
