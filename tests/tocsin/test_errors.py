import pickle
from datetime import timedelta
from pathlib import Path

import pytest

from tocsin import errors

SAMPLES = [
    errors.SettingsError("message"),
    errors.FeedError("html", "message"),
    errors.ModelError("message", path=Path("model.onnx")),
    errors.StorageBusy("message", path=Path("tocsin.duckdb")),
    errors.DeliveryRefused("is_archived", "message"),
    errors.DeliveryDelayed("ratelimited", "message", retry_after=timedelta(seconds=3)),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_to_another_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == "message"
    assert vars(copy) == vars(error)


def every_error(kind=errors.TocsinError):
    return [kind, *(each for child in kind.__subclasses__() for each in every_error(child))]


def test_every_error_is_drawn_in_the_tree():
    assert not [kind.__name__ for kind in every_error() if kind.__name__ not in (errors.__doc__ or "")]


def test_bad_usage_and_failure_have_different_exit_codes():
    bad_usage = {kind.__name__ for kind in every_error() if kind.exit_code == 2}
    assert bad_usage == {"SettingsError", "TopicError", "OpmlError", "QueryError"}
