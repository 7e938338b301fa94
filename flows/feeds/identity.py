"""Which entries are the same article: of one poll, and of everything seen before.

Pure. An entry has up to three identities, strongest first: its URL, its guid within the feed, and
its text on its day. An entry that has neither URL nor guid to go by is known by its text in its feed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from flows.feeds.urls import canonical_url, host_of, is_home_page
from tocsin.types import Article, Entry, Polled, Sighting

_WORD = re.compile(r"\w+")
_JOINERS = re.compile("[\u200c\u200d]")
# Shorter texts ("Market wrap", "Live blog") return with other news under them.
_TELLING_TITLE = 20
_TELLING_TEXT = 100
# Share of the shorter headline's words that an edited one keeps at least.
_LIKE_TITLES = 0.3


@dataclass(frozen=True, slots=True)
class Identified:
    """What a poll means: `articles` are new, `sightings` tie every entry to its article.

    `keys` are the identities to remember beside the known ones. `new_per_feed` counts the articles
    that a feed brought first; `seen_share` is the part of its entries that was known before, for
    feeds that gave entries.
    """

    articles: tuple[Article, ...]
    sightings: tuple[Sighting, ...]
    keys: Mapping[int, int]
    new_per_feed: Mapping[str, int]
    seen_share: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry in its feed, with its identities, strongest first."""

    polled: Polled
    entry: Entry
    keys: tuple[int, ...]
    guid_key: int | None  # the identity of the guid, where a stronger one stands before it

    @property
    def other_keys(self) -> tuple[int, ...]:
        return tuple(key for key in self.keys if key != self.guid_key)

    @property
    def feed_url(self) -> str:
        return self.polled.feed.url

    def rank(self) -> tuple[bool, float, str, str, str, str, str]:
        """Orders entries for choosing one of several; depends on the entries only, not their order."""
        entry = self.entry
        claimed = entry.published_at.timestamp() if entry.published_at else 0.0
        texts = (self.feed_url, entry.url or "", entry.guid or "", entry.title, entry.summary)
        return (entry.published_at is None, claimed, *texts)


class EntryKeys(NamedTuple):
    """The identities of an entry, strongest first; None where it has none of a kind."""

    url: int | None
    guid: int | None
    text: int | None
    content: int | None

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(key for key in self if key is not None)


_Tied = tuple[_Item, int]  # an entry and the id of its article
Headlines = Mapping[int, Sequence[str]]  # by article id


class Identities:
    """The entries of a poll with the identities of each, worked out once and used for both questions."""

    def __init__(self, polled: Sequence[Polled]) -> None:
        self._items = [item for each in polled for item in _items(each)]

    @property
    def keys(self) -> list[int]:
        """All identities in the poll, sorted, so that storage is asked once."""
        return sorted({key for item in self._items for key in item.keys})

    def doubtful_articles(self, known: Mapping[int, int]) -> list[int]:
        """The articles that only a guid ties an entry to: their headlines tell if the guid is used again."""
        owners = set()
        for item in self._items:
            owner = None if item.guid_key is None else known.get(item.guid_key)
            if owner is not None and owner not in {known.get(key) for key in item.other_keys}:
                owners.add(owner)
        return sorted(owners)

    def tie(
        self, known: Mapping[int, int], *, now: datetime, headlines: Headlines | None = None
    ) -> Identified:
        """Tie the entries to articles, as `identify_entries` says."""
        items = [_without_reused_guid(item, known, headlines or {}) for item in self._items]
        tied = [pair for group in _connected(items) for pair in _tie(group, known)]
        tied.sort(key=lambda pair: pair[0].rank())
        creators = _creators(tied, known)
        articles = tuple(_article(creators[article_id], article_id, now) for article_id in sorted(creators))
        return Identified(
            articles=articles,
            sightings=_sightings(tied, creators, now),
            keys=_keys_to_remember(tied, known),
            new_per_feed=Counter(article.feed_url for article in articles),
            seen_share=_seen_share(items, known),
        )


def identify_entries(
    polled: Sequence[Polled],
    known: Mapping[int, int],
    *,
    now: datetime,
    headlines: Headlines | None = None,
) -> Identified:
    """Tie the entries of a poll to articles, known (`known`: identity to article id) or new.

    `headlines` are those of `Identities.doubtful_articles`; without them a guid that is known is always the
    same article, as an edited one with a new URL would be. The order of `polled` and of entries does not
    matter. Repeating it with `known` and the returned `keys` together gives the same ids and nothing new.
    """
    return Identities(polled).tie(known, now=now, headlines=headlines)


def keys_to_look_up(polled: Sequence[Polled]) -> list[int]:
    """All identities in a poll, sorted, so that storage is asked once."""
    return Identities(polled).keys


def entry_keys(
    feed_url: str, entry: Entry, *, url_is_unique: bool = True, guid_is_unique: bool = True
) -> EntryKeys:
    """The identities of an entry as 63-bit hashes; at least one.

    A URL or guid that other entries of the feed share, or that names a whole site or the feed
    itself, identifies nothing.
    """
    url = guid = text = content = None
    if entry.url and url_is_unique and not _is_general(entry.url, feed_url):
        url = _hash("url", canonical_url(entry.url))
    if entry.guid and guid_is_unique and not _is_general(entry.guid, feed_url):
        guid = _hash("guid", canonical_url(feed_url), entry.guid)
    title, summary = _normal_text(entry.title), _normal_text(entry.summary)
    if url is None and guid is None:
        text = _hash("text", canonical_url(feed_url), title, summary)
    # Recurring pieces repeat their text on other days, so without a day a text tells too little.
    is_telling = len(title) >= _TELLING_TITLE and len(title) + len(summary) >= _TELLING_TEXT
    if entry.published_at is not None and is_telling:
        content = _hash("content", title, summary, entry.published_at.astimezone(UTC).date().isoformat())
    return EntryKeys(url, guid, text, content)


def _items(polled: Polled) -> list[_Item]:
    if polled.parsed is None:
        return []
    entries, feed_url = polled.parsed.entries, polled.feed.url
    shared_urls = _shared((canonical_url(entry.url), entry) for entry in entries if entry.url)
    shared_guids = _shared((entry.guid, entry) for entry in entries if entry.guid)
    items = []
    for entry in entries:
        keys = entry_keys(
            feed_url,
            entry,
            url_is_unique=canonical_url(entry.url or "") not in shared_urls,
            guid_is_unique=entry.guid not in shared_guids,
        )
        items.append(_Item(polled, entry, keys.all, keys.guid if keys.url else None))
    return items


def _shared(values: Iterable[tuple[str, Entry]]) -> set[str]:
    """The values that entries with different titles have in common."""
    carriers: dict[str, list[Entry]] = defaultdict(list)
    for value, entry in values:
        carriers[value].append(entry)
    repeated = ((value, entries) for value, entries in carriers.items() if len(entries) > 1)
    return {value for value, entries in repeated if len({_normal_text(each.title) for each in entries}) > 1}


def _without_reused_guid(item: _Item, known: Mapping[int, int], headlines: Headlines) -> _Item:
    """Drop a guid that the feed gives to article after article, as one-entry feeds do.

    That is so where nothing but the guid ties the entry to its article, and no headline of that article
    is like the entry's: an edit that changes the URL keeps some of the words.
    """
    owner = None if item.guid_key is None else known.get(item.guid_key)
    if owner is None:
        return item
    told = headlines.get(owner, ())
    is_reused = bool(told) and not any(_alike(item.entry.title, headline) for headline in told)
    return replace(item, keys=item.other_keys) if is_reused else item


def _alike(title: str, other: str) -> bool:
    words, others = set(_normal_text(title).split()), set(_normal_text(other).split())
    return len(words & others) >= _LIKE_TITLES * min(len(words), len(others))


def _is_general(value: str, feed_url: str) -> bool:
    # Most guids are no URLs: they name neither.
    return "//" in value and (is_home_page(value) or canonical_url(value) == canonical_url(feed_url))


def _normal_text(text: str) -> str:
    """Words in small letters: what stays the same when only typography is edited."""
    text = unicodedata.normalize("NFKC", _JOINERS.sub("", text)).casefold()
    return " ".join(_WORD.findall(text))


def _hash(kind: str, *parts: str) -> int:
    text = "\x1f".join((kind, *parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


# ---------------------------------------------------------------- entries to articles


def _connected(items: Sequence[_Item]) -> Iterable[list[_Item]]:
    """Group entries that identities connect, also through a third entry."""
    parents: dict[int, int] = {}

    def root(key: int) -> int:
        while (parent := parents.setdefault(key, key)) != key:
            parents[key] = key = parents[parent]  # halve the path on the way
        return key

    for item in items:
        for key in item.keys:
            parents[root(key)] = root(item.keys[0])
    groups: dict[int, list[_Item]] = defaultdict(list)
    for item in items:
        groups[root(item.keys[0])].append(item)
    return groups.values()


def _tie(group: Sequence[_Item], known: Mapping[int, int]) -> list[_Tied]:
    """Give a group its article: the one it is known as, else a new one named by its first-ranked entry.

    Known as several, it takes the lowest id. Choosing per entry would read better in that rare
    case, but then the identities between them would have no stable owner.
    """
    known_ids = {known[key] for item in group for key in item.keys if key in known}
    article_id = min(known_ids) if known_ids else min(group, key=_Item.rank).keys[0]
    return [(item, article_id) for item in group]


def _creators(tied: Sequence[_Tied], known: Mapping[int, int]) -> dict[int, _Item]:
    """The first-ranked entry of each new article; `tied` is sorted by rank."""
    old = set(known.values())
    creators: dict[int, _Item] = {}
    for item, article_id in tied:
        if article_id not in old:
            creators.setdefault(article_id, item)
    return creators


def _article(creator: _Item, article_id: int, now: datetime) -> Article:
    entry = creator.entry
    return Article(
        article_id=article_id,
        url=entry.url,
        title=entry.title,
        summary=entry.summary,
        outlet=_outlet(creator),
        feed_url=creator.feed_url,
        published_at=entry.published_at,
        first_seen_at=now,
    )


def _outlet(item: _Item) -> str:
    feed, parsed = item.polled.feed, item.polled.parsed
    feed_title = feed.title or (parsed.title if parsed else None)
    names = (item.entry.outlet, feed.outlet, feed_title, host_of(feed.url))
    return next((name for name in names if name), "unknown")


def _sightings(tied: Sequence[_Tied], creators: Mapping[int, _Item], now: datetime) -> tuple[Sighting, ...]:
    """One sighting per feed and article: the creator's own where there is one, else the first-ranked.

    `tied` is sorted by rank.
    """
    chosen: dict[tuple[str, int], _Item] = {}
    for item, article_id in tied:
        chosen.setdefault((item.feed_url, article_id), item)
    return tuple(
        Sighting(
            feed_url=feed_url,
            article_id=article_id,
            guid=item.entry.guid,
            url=item.entry.url,
            title=item.entry.title,
            published_at=item.entry.published_at,
            seen_at=now,
            is_new=creators.get(article_id) is item,
        )
        for (feed_url, article_id), item in sorted(chosen.items(), key=lambda pair: pair[0])
    )


def _keys_to_remember(tied: Sequence[_Tied], known: Mapping[int, int]) -> dict[int, int]:
    return dict(
        sorted((key, article_id) for item, article_id in tied for key in item.keys if key not in known)
    )


def _seen_share(items: Sequence[_Item], known: Mapping[int, int]) -> dict[str, float]:
    seen: dict[str, list[bool]] = defaultdict(list)
    for item in items:
        seen[item.feed_url].append(any(key in known for key in item.keys))
    return {feed_url: sum(flags) / len(flags) for feed_url, flags in seen.items()}
