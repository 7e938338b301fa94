"""How a run tells whoever watches how far it is and what it found; plain unless a display is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Display(Protocol):
    """Shows a run to a person; every method returns at once and never raises.

    `alerts` is where alerts that go to the console are printed.
    """

    @property
    def alerts(self) -> Console:
        """The console of alerts."""

    def start_step(self, step: str, total: int) -> None:
        """Show a step of `total` parts; called again for a step, it adds to the total."""

    def advance_step(self, step: str) -> None:
        """Add a finished part to a step."""

    def move_step(self, step: str, done: int) -> None:
        """Say how many parts of a step are finished."""


class PlainDisplay:
    """Shows no progress; alerts go to standard output."""

    @cached_property
    def alerts(self) -> Console:
        from rich.console import Console  # noqa: PLC0415  slow to load, and seldom needed

        return Console(highlight=False)

    def start_step(self, step: str, total: int) -> None:
        """Ignore the step."""

    def advance_step(self, step: str) -> None:
        """Ignore the part."""

    def move_step(self, step: str, done: int) -> None:
        """Ignore the parts."""


_current: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def showing(display: Display) -> Iterator[None]:
    """Send what runs inside have to show to `display`."""
    token = _current.set(display)
    try:
        yield
    finally:
        _current.reset(token)


def current_display() -> Display:
    """Give the display that is installed, or a plain one."""
    return _current.get() or PlainDisplay()
