"""What TOCSIN_RUNNER says, and whether it can be had; no Prefect, so that a mistake is told at once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from tocsin.errors import SettingsError
from tocsin.settings import Settings

Kind = Literal["threads", "dask", "ray"]

# What each extra of pyproject.toml brings.
_MODULES: dict[Kind, tuple[str, ...]] = {
    "threads": (),
    "dask": ("distributed", "prefect_dask"),
    "ray": ("ray", "prefect_ray"),
}


@dataclass(frozen=True, slots=True)
class RunnerChoice:
    """A kind of task runner, and the address of a cluster (None: one of our own)."""

    kind: Kind
    address: str | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether its workers may be on other machines."""
        if self.address is None:
            return False
        return split_address(self.address).hostname not in {"localhost", "127.0.0.1", "::1"}


def split_address(address: str) -> SplitResult:
    """Take an address apart, with or without a scheme."""
    return urlsplit(address if "//" in address else f"//{address}")


def choose_runner(settings: Settings) -> RunnerChoice:
    """Read the setting, as in `dask` or `dask:tcp://host:8786`.

    Raises: SettingsError that names the extra where one is not installed.
    """
    text, _, address = settings.runner.partition(":")
    kind: Kind = "dask" if text == "dask" else "ray" if text == "ray" else "threads"
    if any(find_spec(module) is None for module in _MODULES[kind]):
        raise SettingsError(
            f'TOCSIN_RUNNER: {kind} needs what is not installed: pip install "tocsin[{kind}]"'
        )
    return RunnerChoice(kind, address or None)
