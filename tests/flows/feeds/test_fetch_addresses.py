"""The address that is connected to is the one that was checked, whatever a name leads to."""

import asyncio
from ipaddress import ip_network

import httpx
import pytest

from flows.feeds.network import Dialer, resolve_host
from tocsin.errors import FeedError
from tocsin.types import Fetched

BODY = b"<rss version='2.0'><channel><title>x</title></channel></rss>"


def test_a_name_that_changes_its_address_is_checked_at_every_connection(server, fetch):
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(host, port):
        return answers.pop(0)

    server.reply("/feed", status=302, location="/secret", connection="close")
    url = f"http://rebind.example:{server.port}/feed"
    outcome = fetch(url, resolve=rebinding, allow_networks=(ip_network("127.0.0.1/32"),))
    assert (outcome.reason, answers) == ("forbidden_address", [])
    assert "rebind.example" in outcome.message
    assert "127.0.0.2" in outcome.message
    assert [seen.path for seen in server.requests] == ["/feed"]


def test_the_name_is_resolved_once_and_stays_in_the_host_header(server, fetch):
    asked = []

    async def resolve(host, port):
        asked.append((host, port))
        return ["127.0.0.1"]

    server.reply("/feed", BODY)
    outcome = fetch(f"http://news.example:{server.port}/feed", resolve=resolve)
    assert isinstance(outcome, Fetched)
    assert asked == [("news.example", server.port)]
    assert server.requests[0].headers["host"] == f"news.example:{server.port}"


def test_the_next_address_is_tried_when_one_refuses(server, fetch):
    async def resolve(host, port):
        return ["127.0.0.3", "127.0.0.1"]  # the server listens on the second only

    server.reply("/feed", BODY)
    assert isinstance(fetch(f"http://news.example:{server.port}/feed", resolve=resolve), Fetched)


def test_only_the_allowed_ones_of_several_addresses_are_connected_to():
    async def resolve(host, port):
        return ["10.0.0.1", "127.0.0.1", "169.254.169.254"]

    dialer = Dialer((ip_network("127.0.0.0/8"),), httpx.create_ssl_context, resolve)
    assert asyncio.run(dialer._checked_addresses("news.example", 80)) == ["127.0.0.1"]


@pytest.mark.parametrize(("reason", "severity"), [("dns_unknown", "soft"), ("dns_failed", "temporary")])
def test_a_name_without_address_is_a_failure(fetch, reason, severity):
    async def resolve(host, port):
        raise FeedError(reason, f"Host name {host} cannot be resolved")

    outcome = fetch("http://nowhere.example/", resolve=resolve)
    assert (outcome.reason, outcome.severity, outcome.exchange.status) == (reason, severity, None)


def test_the_system_resolver_knows_numbers_and_refuses_nonsense():
    assert asyncio.run(resolve_host("127.0.0.1", 80)) == ["127.0.0.1"]
    with pytest.raises(FeedError) as caught:
        asyncio.run(resolve_host("a" * 80, 80))
    assert caught.value.reason == "bad_url"
