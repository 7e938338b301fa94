"""What we know of URLs: which parts are secret, and which do not tell one article from another."""

from __future__ import annotations

import re
import string
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

MAX_URL_LENGTH = 2048

_USERINFO = re.compile(r"(?<=//)[^/?#]*@")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/:@!$&'()*+,;=~._-]*")  # what escaping leaves as it is
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")

# Parameters that say where a reader came from, never which article it is.
_TRACKING = re.compile(
    r"(?:utm|at|pk|mtm|hsa|guce|ns|oly|vero)_.*|__source|_ga|_gl|cmp|cmpid|dclid|emc|fbclid|gbraid|gclid|gclsrc"
    r"|guccounter|icid|igshid|ito|mbid|mc_[ce]id|mkt_tok|msclkid|ncid|ocid|partner|ref|ref_src|ref_url"
    r"|referr?er|s_cid|smid|smtyp|sr_share|srnd|taid|traffic_source|twclid|wbraid|xtor|yclid"
)
_FEED_MARKS = frozenset({"rss", "feed", "atom", "rssfeed", "rss_feed", "newsfeed"})
_VARIANT_HOSTS = ("www.", "m.", "mobile.", "amp.")
_AMP_PARAMETERS = frozenset({("amp", ""), ("amp", "1"), ("amp", "true"), ("outputtype", "amp")})
_AMP_CACHES = re.compile(
    r"^(?:www\.google\.[a-z.]+/amp|[a-z0-9-]+\.cdn\.ampproject\.org/[cv])/(?:s/)?([^/]+\.[^/]+/.+)$"
)


def without_credentials(url: str) -> str:
    """Drop user and password; works on text that is not a URL too."""
    return _USERINFO.sub("", url)


def loggable(url: str) -> str:
    """Cut a URL down to what may stand in a log: no user, no password, no query."""
    head, mark, _ = without_credentials(url).partition("?")
    return f"{_UNSAFE.sub('', head)[:300]}{'?…' if mark else ''}"


def host_of(url: str) -> str:
    """The host name in small letters, or an empty string."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def host_key(url: str) -> str:
    """What politeness goes by: host and port in small letters, or an empty string."""
    try:
        return urlsplit(without_credentials(url)).netloc.lower()
    except ValueError:
        return ""


def absolute_web_url(base: str, reference: str | None) -> str | None:
    """Resolve a link against its base; None if that gives no http(s) URL of sane length."""
    if not reference:
        return None
    try:
        url = urljoin(base, _UNSAFE.sub("", reference))
        parts = urlsplit(url)
    except ValueError:
        return None
    is_web = parts.scheme in {"http", "https"} and parts.hostname
    return without_credentials(url) if is_web and len(url) <= MAX_URL_LENGTH else None


# Asked several times of each URL of a batch, which it holds about twice over.
@lru_cache(maxsize=16_384)
def canonical_url(url: str) -> str:
    """Reduce a URL to what identifies the article: made for comparing, not for opening.

    Scheme, `www.` and mobile or AMP variants, tracking parameters, the order of parameters, the
    fragment and a trailing slash do not count. Idempotent; text that is no URL comes back stripped.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return url.strip()
    if parts.scheme not in {"http", "https"} or not host:
        return url.strip()
    cached = _AMP_CACHES.match(host + parts.path)
    if cached:
        return canonical_url(f"https://{cached.group(1)}" + (f"?{parts.query}" if parts.query else ""))
    fragment = parts.fragment if parts.fragment.startswith("!") else ""
    return urlunsplit(
        ("https", _canonical_host(host, port), _canonical_path(parts.path), _query(parts.query), fragment)
    )


def is_home_page(url: str) -> bool:
    """Tell whether a URL names a whole site, so that it cannot identify an article."""
    canonical = canonical_url(url)
    _, mark, rest = canonical.partition("//")
    if not mark or "/" in rest.rstrip("?#")[:-1]:  # nearly every URL has a path, so most need no splitting
        return False
    try:
        parts = urlsplit(canonical)
    except ValueError:  # a guid may hold anything
        return False
    return parts.path in {"", "/"} and not parts.query and not parts.fragment


def _canonical_host(host: str, port: int | None) -> str:
    shortened = True
    while shortened:
        shortened = False
        for prefix in _VARIANT_HOSTS:
            rest = host.removeprefix(prefix)
            if rest != host and "." in rest:
                host, shortened = rest, True
    host = f"[{host}]" if ":" in host else host
    return host if port in {None, 80, 443} else f"{host}:{port}"


def _canonical_path(path: str) -> str:
    """Normalise escapes and slashes, and drop the marks of AMP variants at either end."""
    escaped = path if _PLAIN_PATH.fullmatch(path) else _escape(path)
    segments = [segment for segment in escaped.split("/") if segment]
    while len(segments) > 1 and segments[-1].lower() == "amp":
        segments.pop()
    while len(segments) > 1 and segments[0].lower() == "amp":
        segments.pop(0)
    joined = "/".join(segments)
    joined = re.sub(r"(?:\.amp)+(\.html?)?$", r"\1", joined, flags=re.IGNORECASE)
    return f"/{joined}" if joined else ""


def _escape(path: str) -> str:
    return _ESCAPE.sub(_normal_escape, quote(path, safe="%/:@!$&'()*+,;=~", errors="replace"))


def _normal_escape(match: re.Match[str]) -> str:
    character = chr(int(match.group(1), 16))
    return character if character in _UNRESERVED else match.group(0).upper()


def _query(query: str) -> str:
    if not query:
        return ""
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    kept = sorted(pair for pair in pairs if not _is_noise(*pair))
    return urlencode(kept, errors="surrogateescape")


def _is_noise(name: str, value: str) -> bool:
    name = name.lower()
    return (
        _TRACKING.fullmatch(name) is not None
        or value.lower() in _FEED_MARKS
        or (name, value.lower()) in _AMP_PARAMETERS
    )
