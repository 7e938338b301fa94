"""How often the language of labelled articles is named rightly, wrongly or not at all, and how fast.

Run: python tests/bench/bench_language.py FILE... (JSON Lines with `title`, `summary` and `lang`).
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from flows.feeds.language import detect_language


def main():
    detect_language("The model loads with the first text that is long enough.", "")
    for name in sys.argv[1:]:
        rows = [json.loads(line) for line in Path(name).read_text("utf-8").splitlines()]
        for kind, use_summary in (("headline and summary", True), ("headline alone", False)):
            started = time.process_time()
            found = [detect_language(row["title"], row["summary"] if use_summary else "") for row in rows]
            rate = len(rows) / (time.process_time() - started)
            counts = Counter(_verdict(code, row["lang"]) for code, row in zip(found, rows, strict=True))
            print(f"{Path(name).name}, {kind}: {dict(counts)}, {rate:.0f} a CPU second")


def _verdict(found, labelled):
    if found is None:
        return "none"
    return "right" if found == labelled else "wrong"


if __name__ == "__main__":
    main()
