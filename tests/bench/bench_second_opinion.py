"""Measures a second opinion: a one-pass classifier against an NLI model on the same encoder, in turns.

Random weights: it says what they cost, not what they know. Takes the extra `gliclass`:
python tests/bench/bench_second_opinion.py [--layers 12] [--width 768] [--articles 5]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import transformers
from bench_encoder import make_texts
from gliclass import GLiClassModel, GLiClassModelConfig

from models.cross_encoder import NliModel
from models.encode import FOLDER
from models.one_pass import OnePassModel
from models.topics import default_topics
from models.torch_encoder import Loaded, quiet_transformers

COUNTS = (1, 5, 10)  # of doubtful topics in an article


def make_readers(layers: int, width: int) -> tuple[NliModel, OnePassModel]:
    """Build both on an encoder of DeBERTa-v3's kind of this size, with the shipped tokenizer."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    marks = len(tokenizer)
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "intermediate_size": 4 * width,
        "vocab_size": marks + 3,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 256,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "type_vocab_size": 0,
    }
    config = transformers.DebertaV2Config(**sizes)
    nli = transformers.DebertaV2ForSequenceClassification(config).eval()
    first = NliModel(Loaded(nli, tokenizer, nli.config), 1, name="nli")
    wider = transformers.AutoTokenizer.from_pretrained(FOLDER)
    wider.add_tokens(["<<LABEL>>", "<<SEP>>", "<<EXAMPLE>>"], special_tokens=True)
    made = GLiClassModelConfig(
        encoder_config=config.to_dict(),
        encoder_model="someone/encoder",
        class_token_index=marks,
        text_token_index=marks + 1,
        example_token_index=marks + 2,
        prompt_first=True,
    )
    model = GLiClassModel(made).eval()
    return first, OnePassModel(Loaded(model, wider, model.config), name="gli")


def count_passes(model: torch.nn.Module) -> list[tuple[int, int]]:
    """Return a list that gains the shape (rows, tokens) of each pass from now on."""
    found: list[tuple[int, int]] = []
    model.register_forward_pre_hook(
        lambda _, __, given: found.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    return found


def main() -> None:
    """Print passes, tokens and seconds an article of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--articles", type=int, default=5)
    options = parser.parse_args()
    with quiet_transformers():
        readers = make_readers(options.layers, options.width)
    passes = count_passes(readers[0]._loaded.model), count_passes(readers[1]._run.pipe.model)
    texts = make_texts(options.articles + 1)
    for count in COUNTS:
        seconds: tuple[list[float], list[float]] = ([], [])
        for text in texts:
            pairs = [(text, topic) for topic in default_topics()[:count]]
            for i, reader in enumerate(readers):
                passes[i].clear()
                started = time.perf_counter()
                reader.judge(pairs)
                seconds[i].append(time.perf_counter() - started)
        ratios = [
            nli / one for nli, one in zip(*(each[1:] for each in seconds), strict=True)
        ]  # the first warms up
        nli, one = (statistics.median(each[1:]) for each in seconds)
        print(
            f"topics={count} nli_seconds={nli:.3f} one_pass_seconds={one:.3f} "
            f"ratio={statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"nli_passes={passes[0]} one_pass_passes={passes[1]}"
        )


if __name__ == "__main__":
    main()
