"""Posts a body once to an address that a person configured, over connections that end only where they may.

It lives here because httpx and the check of addresses do; who posts what is not known here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import httpx

from flows.feeds.fetch import open_client
from flows.feeds.options import PollOptions
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused, DeliveryUncertain, FeedError
from tocsin.types import Posted

MAX_ANSWER_BYTES = 4096
_NOT_CONNECTED_PAUSE = timedelta(seconds=15)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def post_once(
    url: str, body: bytes, headers: Mapping[str, str], *, setting: str, options: PollOptions
) -> Posted:
    """Post once, without retries or redirects, and return the answer, whatever its status.

    `setting` begins the message of an error, which holds no more of the URL than its host.
    Raises: DeliveryRefused, DeliveryDelayed (nothing was sent), DeliveryUncertain.
    """
    try:
        return asyncio.run(_post(url, body, headers, options))
    except (FeedError, httpx.InvalidURL, httpx.HTTPError, TimeoutError) as error:
        failure = _judge(error, f"{setting} (host {urlsplit(url).hostname})")
    # Raised out here so that httpx's error, which holds the request, is not chained.
    raise failure


async def _post(url: str, body: bytes, headers: Mapping[str, str], options: PollOptions) -> Posted:
    async with asyncio.timeout(options.total_seconds), open_client(options) as client:
        own = {"User-Agent": "Tocsin/0.1", "Accept": "*/*", "Content-Type": "application/json"}
        async with client.stream("POST", url, content=body, headers={**own, **headers}) as answer:
            start = b""
            async for part in answer.aiter_raw():
                start += part
                if len(start) >= MAX_ANSWER_BYTES:
                    break
            text = start[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
            return Posted(answer.status_code, text, answer.headers.get("Retry-After"))


def _judge(error: Exception, about: str) -> DeliveryError:
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return DeliveryRefused("bad_url", f"{about}: it is not an address that can be posted to")
    if isinstance(error, FeedError):
        if error.reason.startswith("dns_"):
            return DeliveryDelayed("not_connected", f"{about}: {error}", retry_after=_NOT_CONNECTED_PAUSE)
        return DeliveryRefused(error.reason, f"{about}: {error}")
    if isinstance(error, _UNSENT):
        if _has_cause(error, ssl.SSLCertVerificationError):
            return DeliveryRefused("untrusted_certificate", f"{about}: its certificate is not trusted")
        text = f"{about}: no connection ({type(error).__name__})"
        return DeliveryDelayed("not_connected", text, retry_after=_NOT_CONNECTED_PAUSE)
    return DeliveryUncertain("no_answer", f"{about}: no answer came ({type(error).__name__})")


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False
