"""Where log lines go: a rotating file in the data folder, with the run's id in every line.

The screen belongs to the person: it gets the log only on request, and nothing from the libraries below.
"""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NamedTuple

from tocsin.errors import SettingsError

_run_id: ContextVar[str] = ContextVar("run_id", default="-")

# Loggers that print URLs, headers or bodies, which may hold secrets.
_TALKATIVE = ("httpx", "httpcore", "slack_sdk", "urllib3", "hpack", "asyncio")
_OURS = ("tocsin", "flows", "models", "storage")

_SECRET = re.compile(
    r"xox[a-z]-[\w-]+|(?<=/services/)T\w+/B\w+/\w+|xapp-[\w-]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


class LogLine(NamedTuple):
    """A line of a log on its way from a worker; `created` is its time in seconds since 1970 (UTC)."""

    logger: str
    level: int
    message: str
    created: float


_collected: ContextVar[list[LogLine] | None] = ContextVar("collected", default=None)


class _RunIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.run_id = _run_id.get()
        return True


class _RedactingFormatter(logging.Formatter):
    """A last line of defence: tokens and credentials never reach a log, whoever logged them."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def redact(text: str) -> str:
    """Replace Slack tokens and URL credentials by `***`."""
    return _SECRET.sub("***", text)


@contextmanager
def logging_run(run_id: str) -> Iterator[None]:
    """Put `run_id` into every log line written inside."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


class _Collector(logging.Handler):
    """Keeps the lines of the task that logs; several may run in one process, in threads."""

    def __init__(self) -> None:
        super().__init__()
        self._users = 0
        self._levels: dict[str, int] = {}

    def join(self, level: int) -> None:
        """Listen from `level` on, for one more task."""
        with self.lock or nullcontext():
            self._users += 1
            if self._users == 1:
                for logger in map(logging.getLogger, _OURS):
                    self._levels[logger.name] = logger.level
                    logger.setLevel(level)
                    logger.addHandler(self)

    def leave(self) -> None:
        """Leave the loggers as they were, after the last task."""
        with self.lock or nullcontext():
            self._users -= 1
            if self._users == 0:
                for logger in map(logging.getLogger, _OURS):
                    logger.setLevel(self._levels[logger.name])
                    logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        lines = _collected.get()
        if lines is not None:
            lines.append(LogLine(record.name, record.levelno, redact(record.getMessage()), record.created))


_collector = _Collector()


@contextmanager
def collecting_log(level: int) -> Iterator[list[LogLine]]:
    """Give a list that fills with what is logged inside, for a process that has no log file of its own."""
    lines: list[LogLine] = []
    token = _collected.set(lines)
    _collector.join(level)
    try:
        yield lines
    finally:
        _collector.leave()
        _collected.reset(token)


def replay_log(lines: Iterable[LogLine]) -> None:
    """Write lines that a worker collected to the log of this process, at their own time."""
    for line in lines:
        logger = logging.getLogger(line.logger)
        if logger.isEnabledFor(line.level):
            record = logger.makeRecord(line.logger, line.level, "", 0, "%s", (line.message,), None)
            record.created = line.created
            logger.handle(record)


def configure_logging(folder: Path, *, level: str = "INFO", verbose: bool = False) -> None:
    """Send our log to `folder`/tocsin.log and, if `verbose`, to stderr too.

    Safe to call again: earlier handlers of ours are replaced.

    Raises:
        SettingsError: the folder cannot be written to.
    """
    file = _file_handler(folder, level)
    for name in _OURS:
        _send(name, [file, _screen_handler()] if verbose else [file], level="DEBUG" if verbose else level)
    for name in _TALKATIVE:
        _send(name, [file], level="WARNING")
    if not verbose:
        warnings.simplefilter("ignore")


def _send(name: str, handlers: list[logging.Handler], *, level: str) -> None:
    logger = logging.getLogger(name)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def _file_handler(folder: Path, level: str) -> logging.Handler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            folder / "tocsin.log", maxBytes=10_000_000, backupCount=3, encoding="utf-8"
        )
    except OSError as error:
        raise SettingsError(f"Data folder {folder} (TOCSIN_DATA or --data): {error.strerror}") from error
    handler.setLevel(level)
    handler.addFilter(_RunIdFilter())
    handler.setFormatter(_RedactingFormatter("%(asctime)s %(levelname)s run=%(run_id)s %(message)s"))
    return handler


def _screen_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RunIdFilter())
    handler.setFormatter(_RedactingFormatter("%(levelname)s %(message)s"))
    return handler
