"""A step of `prefect deploy`: what people set in a deployment's form stays when it is deployed again."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint


def keep_parameters(deployment: str, entrypoint: str) -> dict[str, Any]:
    """Return the parameters of a deployment (`FLOW/NAME`) as they are on the server now.

    Those that nobody set, or all of them before the first time, have the flow's defaults, and so have those
    set to null, which the form may no longer take. Prefect puts the parameters of its file in the place of
    those on the server, so `deploy/prefect.yaml` takes them from here.
    """
    form = load_flow_from_entrypoint(entrypoint).parameters.properties
    defaults = {name: field.get("default") for name, field in form.items()}
    known = _read(deployment)
    return {name: default if known.get(name) is None else known[name] for name, default in defaults.items()}


def _read(deployment: str) -> dict[str, Any]:
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(deployment).parameters or {}
        except ObjectNotFound:
            return {}
