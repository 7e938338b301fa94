"""How the vector of a text is made by a model that sentence-transformers saved: pooling, prompt, length.

Reads its files (`modules.json` and what it names); a model without them is taken as mean pooling.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tocsin.errors import ModelError

Pooling = Literal["mean", "cls"]
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_MODE = "pooling_mode"
# These were trained with a prompt before every text, which their files do not always name.
_E5 = re.compile(r"(^|[/_-])e5-(small|base|large)(-v2)?(?![\w-]*instruct)", re.IGNORECASE)
MOST_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Recipe:
    """From token states to a text's vector. `prompt` is put before every text."""

    pooling: Pooling = "mean"
    prompt: str = ""
    max_tokens: int = MOST_TOKENS
    lower: bool = False


def read_recipe(folder: Path, *, name: str = "") -> Recipe:
    """Read the recipe of the model in `folder`; `name` is what a person called it.

    Raises: ModelError if it asks for what is not supported here, or a file cannot be read.
    """
    modules = _read(folder / "modules.json", [])
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    unknown = [kind for kind in kinds if kind not in _KNOWN_MODULES]
    if unknown:
        raise ModelError(
            f"{folder} needs {unknown[0]} after its transformer, which is not supported", path=folder
        )
    place = next(
        (str(m.get("path", "")) for m, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), ""
    )
    limits = _read(folder / "sentence_bert_config.json", {})
    length = limits.get("max_seq_length") or MOST_TOKENS
    return Recipe(
        pooling=_pooling(folder / (place or "1_Pooling") / "config.json"),
        prompt=_prompt(_read(folder / "config_sentence_transformers.json", {}), name or folder.name),
        max_tokens=min(int(length), MOST_TOKENS),
        lower=bool(limits.get("do_lower_case")),
    )


def _pooling(path: Path) -> Pooling:
    config = _read(path, {_MODE: "mean"})
    chosen = config.get(_MODE) or [mode for mode, on in config.items() if mode.startswith(f"{_MODE}_") and on]
    modes = [_MODES.get(mode, mode) for mode in ([chosen] if isinstance(chosen, str) else chosen)]
    if len(modes) != 1 or modes[0] not in ("mean", "cls"):
        raise ModelError(
            f"{path} asks for pooling by {' and '.join(map(str, modes))}: only mean or cls", path=path
        )
    if config.get("include_prompt", True) is False:
        raise ModelError(f"{path} leaves the prompt out of pooling, which is not supported", path=path)
    return "cls" if modes[0] == "cls" else "mean"


def _prompt(config: dict[str, Any], name: str) -> str:
    """Choose the prompt for texts that are compared with each other, articles and phrases alike.

    A model with a prompt for both queries and passages takes the first, as E5's authors advise for this use;
    one with a prompt for queries alone takes none, as for the texts that queries look for.
    """
    prompts = config.get("prompts") or {}
    default = config.get("default_prompt_name")
    if default in prompts:
        return str(prompts[default])
    passage = prompts.get("passage") or prompts.get("document") or ""
    if passage and prompts.get("query"):
        return str(prompts["query"])
    if not any(prompts.values()) and _E5.search(name):
        return "query: "
    return str(passage)


def _read(path: Path, absent: Any) -> Any:
    """Read a JSON file of the same kind as `absent`, which is returned where there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return absent
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error})", path=path) from error
    if not isinstance(found, type(absent)):
        raise ModelError(f"{path} is not what sentence-transformers writes", path=path)
    return found
