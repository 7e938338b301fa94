"""How the pace is chosen, and that it changes no vector and loses no text."""

import logging
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import encode
from models.encode import FOLDER, OnnxEncoder, load_encoder
from models.manifest import read_manifest
from models.pace import BOUND, LEAST, Pace, Search, Trial, choose_pace, is_enough, list_paces, spread_batches
from models.providers import CPU
from tocsin.encoder_setup import EncoderSetup
from tocsin.errors import SettingsError

TWO, FOUR, EIGHT = Pace(2), Pace(4), Pace(8)


def trials(**rates):
    paces = {"two": TWO, "four": FOUR, "eight": EIGHT}
    return [Trial(paces[name], rate) for name, found in rates.items() for rate in found]


@pytest.mark.parametrize(
    ("measured", "chosen"),
    [
        (trials(eight=[100, 100], four=[120, 110]), FOUR),
        (trials(eight=[100, 100], four=[120, 104]), EIGHT),
        (trials(eight=[50, 100], four=[120, 104]), EIGHT),
        (trials(eight=[100, 100], four=[120, 110], two=[111, 200]), TWO),
        (trials(eight=[100, 100], four=[90, 90]), EIGHT),
        (trials(eight=[100, 100], four=[500]), EIGHT),
        (trials(eight=[100], four=[500, 500]), EIGHT),
        ([], EIGHT),
    ],
    ids=[
        "quicker in all rounds",
        "hardly quicker in one round",
        "the present one was disturbed once",
        "the best of two",
        "slower",
        "measured once",
        "the present one was measured once",
        "not measured",
    ],
)
def test_another_pace_must_be_clearly_quicker_in_every_round(measured, chosen):
    assert choose_pace(measured, EIGHT) == chosen


@pytest.mark.parametrize(
    ("present", "threads", "batches", "tried"),
    [
        (Pace(64), True, False, [Pace(64), Pace(32), Pace(16)]),
        (FOUR, True, False, [FOUR, TWO]),
        (TWO, True, False, [TWO]),
        (FOUR, False, False, [FOUR]),
        (TWO, True, True, [TWO, Pace(2, 8), Pace(2, 32)]),
        (FOUR, True, True, [FOUR, TWO, Pace(4, 8), Pace(2, 8), Pace(4, 32), Pace(2, 32)]),
        (Pace(8, 8), False, True, [Pace(8, 8), Pace(8, 32)]),
    ],
)
def test_what_is_tried_depends_on_cores_and_on_what_is_left_open(present, threads, batches, tried):
    assert list_paces(present, threads=threads, batches=batches) == tried


@pytest.mark.parametrize(("pace", "least"), [(FOUR, 16), (Pace(4, 32), 128), (Pace(64), 256)])
def test_a_trial_waits_for_some_texts_for_each_thread(pace, least):
    assert is_enough(least, pace)
    assert not is_enough(least - 1, pace)


def try_all(search, seconds, characters=10):
    tried = []
    while pace := search.next():
        tried.append(pace)
        search.note(characters, seconds[pace])
    return tried


def test_each_pace_is_tried_in_each_round_there_and_back():
    search = Search([FOUR, TWO])
    assert try_all(search, {FOUR: 0.1, TWO: 0.05}) == [FOUR, TWO, TWO, FOUR]
    assert [trial.rate for trial in search.trials] == pytest.approx([100, 200, 200, 100])
    assert search.best() == TWO


def test_trials_end_in_time_and_leave_things_as_they_are():
    search = Search([FOUR, TWO])
    assert try_all(search, {FOUR: BOUND * 0.6, TWO: BOUND * 0.5}) == [FOUR, TWO]
    assert search.best() == FOUR


def test_one_pace_alone_is_not_tried():
    assert Search([TWO]).next() is None
    assert Search([TWO]).best() == TWO


@given(st.integers(0, 300), st.integers(1, 40))
def test_rows_are_cut_into_batches_and_none_is_lost(rows, batch):
    batches = spread_batches(range(rows), batch)
    assert sorted(row for each in batches for row in each) == list(range(rows))
    assert all(list(each) == list(range(each[0], each[-1] + 1)) for each in batches)
    assert sum(len(each) != batch for each in batches) <= 1


@pytest.mark.parametrize("count", [5, 20, 100])
def test_the_first_batches_are_from_all_along_the_rows(count):
    first = [each[0] for each in spread_batches(range(1_000), 1)[:count]]
    assert 400 <= np.mean(first) <= 600
    assert max(first) - min(first) > 700


class TableSession:
    """Runs a graph that is a table of states; `is_shared`: all texts of a run get one scale, as by int8."""

    def __init__(self, *, is_shared):
        self._table = np.random.default_rng(0).standard_normal((997, 16)).astype(np.float32) ** 3
        self._is_shared = is_shared
        self.runs, self.threads, self.providers, self.most = [], set(), [CPU], 100

    def get_inputs(self):
        return [SimpleNamespace(name=n, type="tensor(int64)") for n in ("input_ids", "attention_mask")]

    def get_outputs(self):
        return [SimpleNamespace(name="states")]

    def get_providers(self):
        return self.providers

    def run(self, names, feed):
        if len(feed["input_ids"]) > self.most:
            raise RuntimeError("Got: 2 Expected: 1")
        self.runs.append(len(feed["input_ids"]))
        self.threads.add(threading.get_ident())
        states = self._table[feed["input_ids"] % 997]
        if self._is_shared:
            scale = np.abs(states * feed["attention_mask"][..., None]).max() / 9
            states = np.round(states / scale) * scale
        return [states]


@pytest.fixture
def make(encoder, monkeypatch):
    """Make an encoder of a table, on a machine with eight cores where nothing was measured yet."""
    monkeypatch.setattr(encode, "_MEASURED", {})
    monkeypatch.setattr(encode, "usable_cores", lambda: 8)
    monkeypatch.setattr(encode, "TRIAL", 0.005)  # a table is read in no time
    manifest = replace(read_manifest(FOLDER), dimensions=16)

    def make(*, is_shared=False, provider=None, **setup):
        session = TableSession(is_shared=is_shared)
        session.providers = [provider, CPU] if provider else [CPU]
        return OnnxEncoder(manifest, session, encoder._tokenizer, setup=EncoderSetup(**setup)), session

    return make


TEXTS = [
    " ".join(["chips", "rain", "rules", "choir"][: 1 + i % 4] * (1 + i % 7)) + f" {i}" for i in range(2_500)
]


def test_texts_that_run_together_have_the_vectors_that_they_have_alone(make):
    together, session = make(batch=5)
    alone, _ = make(batch=1)
    np.testing.assert_allclose(together.embed(TEXTS[:103]), alone.embed(TEXTS[:103]), atol=1e-6)
    assert sorted(set(session.runs)) == [1, 2, 5] or max(session.runs) == 5


def test_an_encoder_knows_whether_a_vector_depends_on_its_neighbours(make, encoder):
    assert not make()[0].depends_on_neighbours()
    assert make(is_shared=True)[0].depends_on_neighbours()
    assert encoder.depends_on_neighbours()


def test_a_graph_made_for_one_text_is_given_one_at_a_time(make):
    encoder, session = make()
    session.most = 1
    assert encoder.depends_on_neighbours()
    assert encoder.embed(TEXTS).shape == (len(TEXTS), 16)


def test_batches_that_would_change_vectors_are_refused():
    with pytest.raises(SettingsError, match=r"^TOCSIN_ENCODER_BATCH: 8 texts cannot run together in minilm"):
        load_encoder(setup=EncoderSetup(batch=8))


@pytest.mark.parametrize("is_shared", [False, True], ids=["any batch", "one by one"])
def test_many_texts_are_measured_on_and_each_is_embedded_once(make, is_shared, caplog):
    caplog.set_level(logging.INFO, logger="models.encode")
    measured, session = make(is_shared=is_shared)
    plain, _ = make(is_shared=is_shared, threads=1, batch=1)
    seen = []
    vectors = measured.embed(TEXTS, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(vectors, plain.embed(TEXTS), atol=1e-6)
    assert sum(session.runs) == len(TEXTS) + 4  # the probes, alone and together
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(TEXTS), len(TEXTS))
    tried = [record.getMessage() for record in caplog.records]
    assert len(tried) == 1
    assert all(pace in tried[0] for pace in ("8x1:", "4x1:", "2x1:"))
    assert is_shared is not ("8x8:" in tried[0] and "8x32:" in tried[0])


def test_what_was_measured_is_used_by_later_runs_of_the_process(make, monkeypatch):
    monkeypatch.setattr("models.pace.choose_pace", lambda trials, present: FOUR)
    first, _ = make(is_shared=True)
    assert first.pace == EIGHT
    first.embed(TEXTS)
    assert first.pace == FOUR
    later, session = make(is_shared=True)
    assert later.pace == FOUR
    later.embed(TEXTS)
    assert session.runs == [1] * len(TEXTS)


def test_trials_go_on_in_the_next_call_where_one_has_few_texts(make, caplog):
    caplog.set_level(logging.INFO, logger="models.encode")
    encoder, session = make(is_shared=True)
    pieces = [TEXTS[start : start + 256] for start in range(0, 2_048, 256)]
    vectors = np.concatenate([encoder.embed(piece) for piece in pieces])
    assert len(caplog.records) == 1
    assert sum(session.runs) == 2_048 + 4
    np.testing.assert_array_equal(vectors, make(is_shared=True, threads=1)[0].embed(TEXTS[:2_048]))


def test_on_two_cores_nothing_else_is_tried(make, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="models.encode")
    monkeypatch.setattr(encode, "usable_cores", lambda: 2)
    encoder, _ = make(is_shared=True)
    encoder.embed(TEXTS)
    assert (encoder.pace, caplog.records) == (TWO, [])


@pytest.mark.parametrize(
    ("texts", "setup"),
    [(TEXTS[: LEAST - 1], {}), (TEXTS, {"threads": 8, "batch": 1}), (TEXTS, {"threads": 2, "batch": 8})],
    ids=["few texts", "as set", "as set, in batches"],
)
def test_nothing_is_measured_where_it_does_not_pay_or_is_set(make, texts, setup, caplog):
    caplog.set_level(logging.INFO, logger="models.encode")
    encoder, session = make(**setup)
    encoder.embed(texts)
    assert sum(session.runs) == len(texts)
    assert caplog.records == []
    assert encoder.pace == Pace(setup.get("threads", 8), setup.get("batch", 1))


def test_no_more_threads_work_than_are_set(make):
    encoder, session = make(threads=1, batch=1)
    encoder.embed(TEXTS[:100])
    assert len(session.threads) == 1


def test_directml_is_asked_from_one_thread_since_it_allows_no_more(make):
    encoder, session = make(provider="DmlExecutionProvider", threads=8)
    encoder.embed(TEXTS[:100])
    assert (encoder.pace, len(session.threads)) == (Pace(1), 1)
