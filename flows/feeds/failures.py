"""Why a fetch failed: how bad each reason is, and what an operator is told of a status."""

from __future__ import annotations

from tocsin.types import FetchFailed, FetchOutcome, Severity

_HARD = frozenset({"bad_url", "forbidden_address", "http_401", "http_410"})
_TEMPORARY = frozenset(
    {
        "connect_failed",
        "connection_lost",
        "cut_body",
        "dns_failed",
        "host_paused",
        "out_of_time",
        "robots_unknown",
        "timeout",
        "too_slow",
    }
    | {f"http_{status}" for status in (408, 425, 429, 500, 502, 503, 504, *range(520, 525), 529)}
)
_STATUS_ADVICE = {
    204: "it sent no content",
    206: "it sent a part that was not asked for",
    304: "it said 'not modified' though nothing was asked conditionally",
    401: "it wants a user and password; put them into the feed's URL",
    402: "it wants to be paid",
    403: "it refuses us; the publisher may block feed readers",
    404: "there is no feed at this URL now",
    406: "it cannot give a format that we accept",
    408: "it gave up waiting",
    410: "the publisher says the feed is gone for good; remove or replace it",
    429: "it asks us to poll less often",
    451: "it may not show the feed for legal reasons",
    500: "it has a fault of its own",
    502: "a server behind it is in trouble",
    503: "it is not available at the moment",
    504: "a server behind it did not answer",
}


def severity_of(reason: str) -> Severity:
    """How bad a reason is; what is not known to pass by itself, nor to need a person, is soft."""
    if reason in _HARD:
        return "hard"
    return "temporary" if reason in _TEMPORARY else "soft"


def asks_to_stop(outcome: FetchOutcome) -> bool:
    """Tell whether a host wants no more requests for now.

    429 speaks for the host; 503 may be one feed's trouble, unless it says when to come back.
    """
    if not isinstance(outcome, FetchFailed):
        return False
    status = outcome.exchange.status
    return status == 429 or (status == 503 and outcome.hints.retry_after is not None)


def describe_status(status: int) -> str:
    """One sentence for the operator about a status that brings no feed."""
    advice = _STATUS_ADVICE.get(status, "it has a fault of its own" if status >= 500 else "no feed came")
    return f"Server answered {status}: {advice}"
