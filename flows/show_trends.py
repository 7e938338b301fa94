"""Leaves the trends of four weeks as an artifact in Prefect's UI."""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect.artifacts import create_markdown_artifact

from flows.trend_page import DAYS, trend_page
from storage.history_file import published_path, read_published
from storage.trends import load_trends
from tocsin.settings import Settings


def show_trends(settings: Settings, *, now: datetime) -> None:
    """Leave a page of what was published last; where nothing was yet, none."""
    if not published_path(settings.data).exists():
        return
    with read_published(settings.data) as con:
        days = load_trends(con, since=now.date() - timedelta(days=DAYS))
    page = trend_page(days, today=now.date())
    about = "Share of coverage by topic, four weeks"
    create_markdown_artifact(key="trends", markdown=page, description=about)
