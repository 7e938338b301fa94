"""BM25 over headlines and summaries, in SQL that counts a question's words where they stand: no index."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # written without spaces, or with endings
_COMMON = frozenset(
    [
        "a",
        "about",
        "after",
        "all",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "more",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "out",
        "over",
        "said",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "through",
        "to",
        "up",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
MOST_WORDS = 16
_K1, _B = 1.2, 0.75  # as usual: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009)


def choose_words(question: str) -> list[str]:
    """Return the words of a question that tell something, in small letters and the singular, each once."""
    words = [word.lower() for word in _WORD.findall(question)]
    telling = [word for word in words if word not in _COMMON and (len(word) > 1 or _CJK.match(word))]
    return list(dict.fromkeys(_singular(word) for word in telling or words))[:MOST_WORDS]


def rank_by_words(words: Sequence[str], where: str) -> tuple[str, dict[str, object]]:
    """Write the SQL that gives `article_id` and `bm25` of the articles with any of `words`, and its values.

    `where` chooses among `articles`; how rare a word is counts among those chosen.
    """
    patterns = [_pattern(word) for word in words]
    counts = ", ".join(f"len(regexp_extract_all(body, $word_{i})) AS n_{i}" for i in range(len(words)))
    found = ", ".join(f"count(*) FILTER (WHERE n_{i} > 0) AS with_{i}" for i in range(len(words)))
    parts = " + ".join(
        f"ln(1 + (total - with_{i} + 0.5) / (with_{i} + 0.5)) * n_{i} * {_K1 + 1} "
        f"/ (n_{i} + {_K1} * ({1 - _B} + {_B} * length / usual))"
        for i in range(len(words))
    )
    sql = f"""
        WITH bodies AS (
            SELECT article_id, lower(title || ' ' || summary) AS body FROM articles WHERE {where}
        ),
        counted AS (
            SELECT article_id, strlen(body) AS length, {counts}
            FROM bodies WHERE regexp_matches(body, $any_word)
        ),
        totals AS (SELECT count(*) AS total, greatest(avg(strlen(body)), 1) AS usual FROM bodies),
        spread AS (SELECT {found} FROM counted)
        SELECT article_id, {parts} AS bm25 FROM counted, totals, spread
        ORDER BY bm25 DESC, article_id LIMIT $most
    """  # noqa: S608 - names and numbers are ours
    values: dict[str, object] = {f"word_{i}": pattern for i, pattern in enumerate(patterns)}
    return sql, values | {"any_word": "|".join(patterns)}


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _pattern(word: str) -> str:
    r"""Write the pattern of a whole word and its plural; RE2's \b knows no letter beyond ASCII."""
    if _CJK.search(word):
        return re.escape(word)
    return rf"(?:^|[^\pL\pN]){re.escape(word)}(?:s|es)?(?:[^\pL\pN]|$)"
