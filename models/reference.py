"""Whether a provider gives the vectors that the processor gives, and whether a text's vector is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.providers import SETTING, short_names
from tocsin.errors import ModelError

if TYPE_CHECKING:
    from models.encode import Encoder, Vectors

# docs/classifier.md says what vectors so far apart do to scores.
TOLERANCE = 0.99
ALONE = 0.99999  # cosine of a text's vector alone and among others: more is rounding, less is dependence
TEXTS = (
    "Ministers agree on export licences for advanced chips. The rules take effect in March.",
    "A laboratory publishes the weights of its new language model, and a licence that forbids little.",
    "Regulator fines a fitness app 12.5 million euros for selling the locations of its users to brokers.",
    "The village choir won the regional contest for the third time in a row.",
    "Rain",
    "Shares of the chipmaker fell 7 % after the ministry said that shipments to 14 firms need a permit. "
    "Analysts expected the rules in spring. The firm called them 'a surprise' and kept its forecast. " * 3,
)

PROBES = TEXTS[3:5]  # a short one beside one of a word


def check_vectors(encoder: Encoder, reference: Encoder, providers: Sequence[str]) -> float:
    """Compare both encoders on a few texts; give the lowest cosine.

    Raises: ModelError if the `providers` of `encoder` fail, or their vectors are not those of `reference`.
    """
    try:
        vectors = encoder.embed(TEXTS)
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise ModelError(f"{SETTING}: {short_names(providers)} cannot run the encoder ({error})") from error
    lowest = lowest_cosine(vectors, reference.embed(TEXTS))
    if not lowest >= TOLERANCE:  # so that NaN is refused too
        raise ModelError(
            f"{SETTING}: vectors by {short_names(providers)} are not those of the processor (cosine "
            f"{lowest:.4f}, at least {TOLERANCE} is needed), so scores would not fit what is stored: unset it"
        )
    return lowest


def lowest_cosine(one: Vectors, other: Vectors) -> float:
    """Give the lowest cosine of two sets of unit rows, row by row; NaN if any is."""
    return float(np.min((one * other).sum(axis=1)))
