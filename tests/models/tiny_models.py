"""Tiny transformers with random weights, saved as sentence-transformers and transformers save real ones."""

from __future__ import annotations

import json
import shutil

from models.encode import FOLDER

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "vocab_size": 30522,
}


def save_transformer(folder, kind="BertModel", *, seed=0, **config):
    """Save a BERT of a class of transformers with the shipped tokenizer; give the folder."""
    import torch
    import transformers

    torch.manual_seed(seed)
    # Wide weights, so that states depend on the text as those of a trained model do.
    made = transformers.BertConfig(**{**SIZES, "initializer_range": 0.5, **config})
    folder.mkdir(parents=True, exist_ok=True)
    getattr(transformers, kind)(made).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(FOLDER / name, folder)
    return folder


def save_sentence_encoder(
    folder, *, pooling="mean_tokens", prompts=None, modules=("Pooling", "Normalize"), **config
):
    """Save an encoder with the files that say how it is used."""
    save_transformer(folder, **config)
    kinds = ("Transformer", *modules)
    write(
        folder / "modules.json",
        [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{kind}" if i else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, kind in enumerate(kinds)
        ],
    )
    modes = {f"pooling_mode_{mode}": mode == pooling for mode in ("cls_token", "mean_tokens", "max_tokens")}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **modes})
    write(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    if prompts is not None:
        write(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    return folder


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def save_one_pass(folder, *, encoder="bert", seed=0, places=128, **config):
    """Save a GLiClass model as its library does after training: marks last, config.json, safetensors."""
    import torch
    import transformers
    from gliclass import GLiClassModel, GLiClassModelConfig

    torch.manual_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    first = len(tokenizer)
    tokenizer.add_tokens(["<<LABEL>>", "<<SEP>>", "<<EXAMPLE>>"], special_tokens=True)
    sizes = {**SIZES, "vocab_size": first + 3, "max_position_embeddings": places, "initializer_range": 0.5}
    marks = {"class_token_index": first, "text_token_index": first + 1, "example_token_index": first + 2}
    made = GLiClassModelConfig(
        encoder_config=transformers.CONFIG_MAPPING[encoder](**sizes).to_dict(),
        encoder_model="someone/encoder",
        **{"initializer_range": 0.2, **marks, **config},
    )
    GLiClassModel(made).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
