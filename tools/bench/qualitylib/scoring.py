"""What a model's logits lose against a baseline's, in double precision.

The definitions are those of `ember compare`; the program checks on each run that both agree.
"""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Protocol:
    """llama.cpp's: windows side by side, each from position 0, ids from `first` on scored."""

    context: int
    windows: int

    @property
    def first(self) -> int:
        return self.context // 2

    def window(self, ids: Array, index: int) -> tuple[Array, Array]:
        """The ids to feed, and those to predict by their last logits."""
        start = index * self.context
        whole = ids[start : start + self.context]
        return whole[:-1], whole[self.first :]


def log_softmax(logits: Array) -> Array:
    """[tokens, vocabulary] logits to natural logarithms of probabilities, in float64."""
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    values -= np.log(np.exp(values).sum(axis=1, keepdims=True))
    return values


@dataclass
class Baseline:
    """One window of the model that others are compared with."""

    log_probabilities: Array
    probabilities: Array
    top: Array
    targets: Array

    @classmethod
    def of(cls, logits: Array, targets: Array) -> Baseline:
        values = log_softmax(logits)
        return cls(values, np.exp(values), logits.argmax(axis=1), targets)


@dataclass
class Score:
    """What is known of a model after some windows, token by token."""

    losses: list[Array] = field(default_factory=list)
    differences: list[Array] = field(default_factory=list)
    divergences: list[Array] = field(default_factory=list)
    agreements: int = 0

    def add(self, logits: Array | None, baseline: Baseline) -> None:
        """A window's logits, [tokens, vocabulary]; none: the baseline's own."""
        values = baseline.log_probabilities if logits is None else log_softmax(logits)
        top = baseline.top if logits is None else logits.argmax(axis=1)
        places = np.arange(len(baseline.targets)), baseline.targets
        self.losses.append(-values[places])
        self.differences.append(baseline.log_probabilities[places] - values[places])
        self.divergences.append(
            (baseline.probabilities * (baseline.log_probabilities - values)).sum(axis=1))
        self.agreements += int((top == baseline.top).sum())

    def summary(self) -> dict[str, float]:
        """Perplexity and its error; its change with the paired error in percent; divergence."""
        losses, differences, divergences = map(
            np.concatenate, (self.losses, self.differences, self.divergences))
        perplexity, ratio = math.exp(losses.mean()), math.exp(differences.mean())
        return {
            "perplexity": perplexity,
            "perplexity_standard_error": perplexity * _standard_error(losses),
            "perplexity_change_percent": 100 * (ratio - 1),
            "perplexity_change_error_percent": 100 * ratio * _standard_error(differences),
            "kl_divergence_mean": float(divergences.mean()),
            "kl_divergence_median": float(np.median(divergences)),
            "kl_divergence_p99": float(np.quantile(divergences, 0.99)),
            "kl_divergence_max": float(divergences.max()),
            "top_token_agreement": 100 * self.agreements / len(losses),
            "tokens_scored": len(losses),
        }


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
