"""The proof of delivery in small: a seed of `make prove-delivery`, and that its count can fail."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "bench" / "prove_delivery.py"
pytestmark = [pytest.mark.slow, pytest.mark.slack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def script():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("prove_delivery", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
    del sys.modules[spec.name]


def test_nothing_is_lost_or_doubled_though_network_and_process_fail(script, slack_emulator):
    count = script.prove(101, 100, script.process_context())
    assert (count.lost, count.doubled, count.out_of_order) == (0, 0, 0)
    assert count.kills > 0
    assert count.faults


def test_without_reconciliation_the_same_count_finds_doubled_alerts(script, slack_emulator):
    count = script.prove(101, 100, script.process_context(), reconcile=False)
    assert count.lost == 0
    assert count.doubled > 0
