"""Alerts in a terminal: readable, and harmless."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flows.alerts.compose import compose_message
from flows.alerts.console import ConsoleOutlet, render_console
from flows.alerts.deliver import deliver_alerts


def printed(alert, now):
    console = Console(file=io.StringIO(), width=100)
    console.print(render_console(alert, now=now))
    return console.file.getvalue()


def test_an_alert_is_readable_in_a_terminal(make_alert, now):
    assert printed(make_alert(), now).splitlines() == [
        "▪ Export controls very likely (0.93)  → policy".ljust(
            len("▪ Export controls very likely (0.93)  → policy")
        ),
        "  Ministry widens chip licence rules (1)".ljust(100),
        "  The Example · news.example · 3 h ago".ljust(100),
        "  “Exporters of chip tools now need a licence.”".ljust(100),
        "  https://news.example/1".ljust(100),
        " " * 100,
    ]


@pytest.mark.parametrize(
    "title", ["[bold red]sale[/] [link=https://evil.example]x[/link]", "[/nothing] :skull:"]
)
def test_rich_markup_in_a_headline_is_shown_as_text(make_alert, now, title):
    assert title in printed(make_alert(title=title), now)


@given(
    st.text(
        st.one_of(st.sampled_from("\x1b\x07\x08\r\x9b[]0;m\u202e"), st.characters(exclude_categories=[])),
        max_size=60,
    )
)
def test_nothing_in_an_alert_reaches_the_terminal_as_a_control_character(make_alert, now, text):
    alert = replace(make_alert(title=text, outlet=text, url=f"https://x.example/{text}"), channel=text)
    output = printed(alert, now)
    assert all(
        character.isprintable() or character in "\n\u200c\u200d" or ord(character) >= 0xE000
        for character in output
    )
    output.encode()


def test_the_console_takes_the_place_of_slack_in_delivery(make_alert, memory_outbox, clock):
    outlet = ConsoleOutlet(Console(file=io.StringIO(), width=100))
    alerts = [make_alert(1), make_alert(2, state="sending", channel="console")]
    outbox = memory_outbox(alerts)
    report = deliver_alerts(
        outbox, lambda channel: outlet, clock=clock, wait=clock.wait, max_wait=clock.now - clock.now
    )
    assert (report.delivered, outbox.states(), clock.waits) == (2, ["delivered", "delivered"], [])
    assert outlet._console.file.getvalue().count("Ministry widens") == 2


def test_the_same_alert_has_the_same_message_id_on_the_console(make_alert, now):
    outlet = ConsoleOutlet(Console(file=io.StringIO()))
    message = compose_message(make_alert(), now=now)
    assert outlet.send("policy", message) == outlet.send("policy", message)
