"""What the tests of pruning, backups and checks share: a history of 400 days, and looks into it."""

import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from storage.integrity import check_history

DAY = timedelta(days=1)
TRENDS = ("topic_trend", "topic_daily", "topic_hourly", "outlet_daily")


def read(database, query):
    with database.read() as con:
        return con.execute(query).fetchall()


def counts(database):
    return {
        name: read(database, f"SELECT count(*) FROM {name}")[0][0] for name in ("articles", "seen", "alerts")
    }


def wrong(database):
    return [finding for finding in check_history(database) if finding.state == "wrong"]


def trends(database):
    columns = (
        "day, topic, matches, articles, round(corrected_share, 9), round(z_score, 9), round(share_28d, 9)"
    )
    chosen = {"topic_trend": columns}
    return {
        name: read(database, f"SELECT {chosen.get(name, '*')} FROM {name} ORDER BY ALL") for name in TRENDS
    }
