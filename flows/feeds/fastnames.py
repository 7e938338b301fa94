"""What feedparser takes an element for, as far as the fast path must know it to agree with it.

An element's word is its local name in small letters, after the prefix that feedparser gives its
namespace: `title`, `dc_date`. `tests/flows/feeds/test_fastparse.py` holds these tables against
feedparser's own handlers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

ATOM = "http://www.w3.org/2005/atom"
ATOM_03 = "http://purl.org/atom/ns#"
RSS_10 = "http://purl.org/rss/1.0/"
RSS_090 = "http://my.netscape.com/rdf/simple/0.9/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

_MODULES = "http://purl.org/rss/1.0/modules/"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Namespaces in small letters; those of the formats themselves have no prefix.
PREFIXES = {
    **dict.fromkeys(("", ATOM, ATOM_03, RSS_10, RSS_090, f"{_MODULES}rss091#"), ""),
    **dict.fromkeys(
        ("http://example.com/newformat#", "http://example.com/necho", "http://purl.org/echo/"), ""
    ),
    **dict.fromkeys(
        ("uri/of/echo/namespace#", "http://purl.org/pie/", "http://backend.userland.com/rss"), ""
    ),
    "http://blogs.law.harvard.edu/tech/rss": "",
    RDF: "rdf",
    "http://www.w3.org/2000/01/rdf-schema#": "rdfs",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://search.yahoo.com/mrss": "media",
    "http://search.yahoo.com/mrss/": "media",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes",
    "http://example.com/dtds/podcast-1.0.dtd": "itunes",
    "http://rssnamespace.org/feedburner/ext/1.0": "feedburner",
    "http://wellformedweb.org/commentapi/": "wfw",
    "http://webns.net/mvcb/": "admin",
    "http://web.resource.org/cc/": "cc",
    "http://creativecommons.org/ns#license": "cc",
    "http://backend.userland.com/creativecommonsrssmodule": "creativecommons",
    "http://cyber.law.harvard.edu/rss/creativecommonsrssmodule.html": "creativecommons",
    "http://backend.userland.com/blogchannelmodule": "blogchannel",
    "http://www.w3.org/2003/01/geo/wgs84_pos#": "geo",
    "http://www.georss.org/georss": "georss",
    "http://www.opengis.net/gml": "gml",
    "http://podlove.org/simple-chapters": "psc",
    "http://prismstandard.org/namespaces/1.2/basic/": "prism",
    "http://media.tangent.org/rss/1.0/": "audio",
    "http://my.theinfo.org/changed/1.0/rss/": "cp",
    "http://freshmeat.net/rss/fm/": "fm",
    "http://xmlns.com/foaf/0.1/": "foaf",
    "http://postneo.com/icbm/": "icbm",
    "http://madskills.com/public/xml/rss/module/pingback/": "pingback",
    "http://madskills.com/public/xml/rss/module/trackback/": "trackback",
    "http://schemas.xmlsoap.org/soap/envelope/": "soap",
    "http://schemas.pocketsoap.com/rss/mydescmodule/": "szf",
    "http://hacks.benhammersley.com/rss/streaming/": "str",
    "http://www.w3.org/1999/xhtml": "xhtml",
    "http://www.w3.org/1999/xlink": "xlink",
    "http://www.w3.org/xml/1998/namespace": "xml",
    f"{_MODULES}company": "co",
    f"{_MODULES}richequiv/": "reqv",
    f"{_MODULES}servicestatus/": "ss",
    **{
        f"{_MODULES}{name}/": prefix
        for name, prefix in (
            *(("aggregation", "ag"), ("annotate", "annotate"), ("content", "content"), ("email", "email")),
            *(("event", "ev"), ("image", "image"), ("link", "l"), ("reference", "ref"), ("search", "search")),
            *(("slash", "slash"), ("subscription", "sub"), ("syndication", "sy"), ("taxonomy", "taxo")),
            *(("threading", "thr"), ("textinput", "ti"), ("wiki", "wiki")),
        )
    },
}
# Prefixes by which feedparser goes even in other namespaces, or that could make a name a key that we read.
RESERVED = _words(
    """admin cc content creativecommons dc dcterms feedburner georss gml itunes media psc rdf sy xhtml xml
    title summary description published updated created date modified issued"""
)

# Elements that change nothing we read, and may hold others.
CONTAINERS = _words(
    """author contributor managingeditor dc_author dc_creator dc_contributor itunes_author itunes_owner
    itunes_category media_group media_content"""
)
# Elements that change nothing we read as long as they hold text alone.
LEAVES = _words(
    """name email url uri homepage category keywords tags language webmaster cloud enclosure generator rights
    copyright subtitle tagline info newlocation expirationdate width height dc_language dc_publisher
    dc_rights dc_subject itunes_block itunes_explicit itunes_image itunes_keywords itunes_name itunes_email
    itunes_subtitle media_category media_keywords media_credit media_license media_player media_rating
    media_restriction media_thumbnail cc_license admin_generatoragent admin_errorreportsto
    feedburner_browserfriendly"""
)
# What few feeds need, and feedparser treats in ways of its own.
STRANGE = _words(
    "abstract body fullitem where geom georssgeom dcterms_valid itunes_link creativecommons_license"
)
STRANGE_PREFIXES = ("georss_", "gml_", "psc_", "xhtml_")
# Generic elements become keys of feedparser's dicts; of these we read some, or it does.
_STRANGE_KEYS = _words("links entries authors")
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9.-]*")

TITLES = frozenset({"title", "dc_title", "media_title"})
DESCRIPTIONS = frozenset({"description", "dc_description", "media_description"})
SUMMARIES = frozenset({"summary", "itunes_summary"})
CONTENTS = frozenset({"content", "content_encoded"})
IDS = frozenset({"guid", "id"})
PUBLISHED = frozenset({"pubdate", "published", "issued", "dcterms_issued"})
UPDATED = frozenset({"updated", "modified", "lastbuilddate", "dc_date", "dcterms_modified"})
CREATED = frozenset({"created", "dcterms_created"})
DATES = {
    **dict.fromkeys(PUBLISHED, "published"),
    **dict.fromkeys(UPDATED, "updated"),
    **dict.fromkeys(CREATED, "created"),
}

UNKNOWN = "?"
DOUBTFUL = "!"


def word_of(element: Any) -> str:
    """The word of an element; `UNKNOWN` where no name means anything, `DOUBTFUL` if it takes feedparser."""
    word = _word_of_tag(element.tag)
    if word == UNKNOWN and element.prefix is None:
        # feedparser takes an unknown namespace without a prefix for that of the format.
        return _word_of_tag(element.tag.rpartition("}")[2])
    return word


@lru_cache(maxsize=4096)
def _word_of_tag(tag: str) -> str:
    namespace, _, local = tag.rpartition("}")
    namespace, local = namespace[1:].lower(), local.lower()
    if "backend.userland.com/rss" in namespace:
        namespace = "http://backend.userland.com/rss"
    prefix = PREFIXES.get(namespace)
    if prefix is None:
        return DOUBTFUL if namespace.split() != [namespace] else UNKNOWN
    if _PLAIN_NAME.fullmatch(local) is None:
        return DOUBTFUL
    word = f"{prefix}_{local}" if prefix else local
    is_strange = word in STRANGE or word in _STRANGE_KEYS or word.startswith(STRANGE_PREFIXES)
    return DOUBTFUL if is_strange else word
