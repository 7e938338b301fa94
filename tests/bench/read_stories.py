"""Prints the biggest stories of a week of the pool, to be read.

python tests/bench/read_stories.py --data FOLDER (with pool.jsonl.gz). The week begins at --monday
(2026-01-05). The output has text of publishers; never commit it.
"""

import argparse
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.encode import load_encoder
from models.stories import Known, load_storyteller
from models.story_pairs import POOL, read_pool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--monday", default="2026-01-05")
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    pool = read_pool(options.data / POOL, load_encoder())
    begin = datetime.fromisoformat(options.monday).replace(tzinfo=UTC)
    stories = defaultdict(list)
    nothing = Known([], pool.vectors[:0])
    for row, tie in enumerate(load_storyteller().tie(pool.articles, pool.vectors, nothing)):
        if begin <= pool.articles[row].at < begin + timedelta(days=7):
            stories[tie.story_id].append(pool.articles[row])
    several = sorted((each for each in stories.values() if len(each) > 1), key=len, reverse=True)
    print(f"{sum(map(len, stories.values()))} articles, {len(several)} stories of several articles")
    for number, articles in enumerate(several[: options.count], start=1):
        print(f"## {number} ({len(articles)})")
        for article in articles:
            print(f"  [{article.outlet} {article.at:%d %H:%M}] {article.title} || {article.summary[:80]}")


if __name__ == "__main__":
    main()
