"""Fine-tuning on pairs, on a tiny model of random weights; needs torch."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from models.background import load_background
from models.encode import FOLDER
from models.measure_stories import Lot
from models.story_pairs import Pair, Pool
from models.story_words import Weights
from tocsin.types import StoryArticle

torch = pytest.importorskip("torch", reason="torch is only in the environment that rebuilds the encoder")
transformers = pytest.importorskip("transformers")

from models.fine_tune_stories import (  # noqa: E402
    EventRecipe,
    EventTuner,
    PairLessons,
    gather_lessons,
    tune,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEXTS = ["chips banned from export", "export of chips is banned", "the choir won a contest", "rain"]
LESSONS = PairLessons(
    TEXTS,
    np.array([[0, 1], [0, 2], [1, 3]] * 8),
    np.array([True, False, False] * 8),
    np.zeros(24, np.float32),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A BERT of 16 dimensions with the shipped vocabulary."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(1)
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    return folder


def run(source, **changes):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tuner = EventTuner(source, EventRecipe(**{"batch": 6, "learning_rate": 3e-3, "epochs": 6, **changes}))
    return tuner, list(tune(tuner, LESSONS))


def test_pairs_of_one_event_come_to_lie_together(source):
    tuner, losses = run(source, epochs=20)
    assert losses[-1] < losses[0] / 2
    one, same, other, _ = tuner.embed_all(tuner.tokenize(TEXTS))
    assert one @ same > one @ other + 0.3
    nothing = torch.zeros(1)
    assert tuner.odds(one[None], same[None], nothing) > 0 > tuner.odds(one[None], other[None], nothing)


def test_what_is_known_at_sight_counts_beside_the_cosine(source):
    tuner, _ = run(source, epochs=1)
    ones, others = tuner.embed_all(tuner.tokenize(TEXTS[:2]))[:, None]
    low, high = (tuner.odds(ones, others, torch.tensor([odds])) for odds in (-2.0, 2.0))
    assert high > low


def test_the_same_seed_gives_the_same_weights(source):
    first, again = run(source, epochs=2)[0], run(source, epochs=2)[0]
    for one, other in zip(first.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_lessons_leave_out_held_out_months_unsure_pairs_and_what_only_a_copy_may_join():
    days = [NOON, NOON, NOON.replace(month=4), NOON, NOON, NOON]
    articles = [
        StoryArticle(row, f"Headline {row}", "", f"Outlet {row}", day, "en") for row, day in enumerate(days)
    ]
    articles[4] = replace(articles[4], outlet="Outlet 3")
    names = {f"h{row}": row for row in range(6)}
    vectors = np.eye(6, dtype=np.float32)
    labels = {(0, 1): "same", (0, 2): "same", (3, 4): "same", (1, 5): "unsure", (0, 5): "different"}
    pairs = [Pair(f"h{a}", f"h{b}", label, "history", "all", 1.0) for (a, b), label in labels.items()]
    lot = Lot(Pool(articles, names, vectors), pairs)
    lessons = gather_lessons([lot], Weights(load_background().lexicon), without=["2026-04"])
    told = [[lessons.texts[row] for row in pair] for pair in lessons.pairs]
    assert told == [["Headline 0", "Headline 1"], ["Headline 0", "Headline 5"]]
    assert lessons.same.tolist() == [True, False]
    assert lessons.odds.shape == (2,)
