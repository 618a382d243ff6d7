"""Tells what a contract says of a statement: that it holds, that it does not, or nothing; numpy alone.

Sentences that are likely evidence are found first. What these say is judged by their words, by words behind a `not` or
an `except`, and by cues: patterns of ours for exceptions and negations, whose weights are learned like any word's.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.scenarios.contract.finder import logit
from swarm.scenarios.contract.grams import Grams, Vector
from swarm.scenarios.contract.rule_sets import parts_of

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LABELS = ("against", "there", "nothing")
AGAINST, THERE, NOTHING = range(3)
EVIDENCE = 3
"""So many sentences are read of a contract for a statement."""

SHORT = 60
"""A shorter sentence is read with the one before it."""

_TOLD, _CUE = 3.0, 0.5
_CUE_LOOKS = 3
"""A cue counts anywhere, in the two likeliest sentences, and by how likely the sentence is that has it."""


@dataclass(frozen=True, eq=False)
class Stances:
    """Statements, and the weights by which sentences are found that are evidence, and by which these are judged.

    `find` is [words, topics]. `judge` has for each topic [labels, features] the weights of words, of turned words, of
    cues and of how likely the evidence is, in this order; a label that no contract of the training had never wins.
    """

    topics: tuple[str, ...]
    words: Grams
    turned: Grams
    find: Float32
    find_bias: Float64
    cues: tuple[tuple[str, ...], ...]
    judge: tuple[Float32, ...]
    judge_bias: tuple[Float64, ...]
    calibration: tuple[float, float] = (1.0, 0.0)

    def read(self, sentences: Sequence[str]) -> Iterator[tuple[str, int, float, int]]:
        """Yields for each statement its label, how sure one may be of it, and the sentence that shows it, else -1."""
        if not sentences:
            return
        texts = with_short(sentences)
        words = [self.words.vector(text) for text in texts]
        turned = [self.turned.vector(text) for text in texts]
        # [sentences, topics] how likely each is evidence.
        chances = np.array([values @ self.find[indices] + self.find_bias for indices, values in words])
        chances = 1 / (1 + np.exp(-np.clip(chances, -30, 30)))
        flat = [" ".join(text.split()) for text in sentences]
        for topic, name in enumerate(self.topics):
            own = chances[:, topic]
            seen = pooled(own, words, turned, (len(self.words), len(self.turned)), cued(self.cues[topic], flat))
            label, chance = self._judged(topic, seen)
            slope, shift = self.calibration
            sure = float(1 / (1 + np.exp(-(slope * logit(chance) + shift))))
            yield name, label, sure, -1 if label == NOTHING else int(own.argmax())

    def _judged(self, topic: int, seen: Float64) -> tuple[int, float]:
        # A softmax over the three labels.
        scores = self.judge[topic] @ seen + self.judge_bias[topic]
        shares = np.exp(scores - scores.max())
        label = int(shares.argmax())
        return label, float(shares[label] / shares.sum())

    def packed(self, arrays: dict[str, Any], name: str) -> dict[str, Any]:
        """Returns it as plain values, its numbers put into `arrays`."""
        arrays |= {f"{name}.find": self.find.astype(np.float16), f"{name}.find_bias": self.find_bias}
        for topic, (judge, bias) in enumerate(zip(self.judge, self.judge_bias, strict=True)):
            arrays |= {f"{name}.judge{topic}": judge.astype(np.float16), f"{name}.judge_bias{topic}": bias}
        return {
            "topics": self.topics,
            "words": self.words.packed(arrays, f"{name}.words"),
            "turned": self.turned.packed(arrays, f"{name}.turned"),
            "cues": self.cues,
            "calibration": self.calibration,
        }

    @classmethod
    def unpacked(cls, told: Mapping[str, Any], arrays: Mapping[str, Any], name: str) -> "Stances":
        """Returns the stances that `packed` has told."""
        topics = range(len(told["topics"]))
        return cls(
            tuple(told["topics"]),
            Grams.unpacked(told["words"], arrays, f"{name}.words"),
            Grams.unpacked(told["turned"], arrays, f"{name}.turned"),
            arrays[f"{name}.find"].astype(np.float32),
            arrays[f"{name}.find_bias"],
            tuple(tuple(one) for one in told["cues"]),
            tuple(arrays[f"{name}.judge{topic}"].astype(np.float32) for topic in topics),
            tuple(arrays[f"{name}.judge_bias{topic}"] for topic in topics),
            tuple(told["calibration"]),
        )


def with_short(sentences: Sequence[str]) -> list[str]:
    """Returns sentences, short ones with what stands before them."""
    return [f"{sentences[at - 1]} {one}" if at and len(one) < SHORT else one for at, one in enumerate(sentences)]


def cued(cues: Sequence[str], sentences: Sequence[str]) -> Mask:
    """Returns [cues, sentences] which sentences have all parts of a cue, and none that it bars."""
    found = np.zeros((len(cues), len(sentences)), dtype=np.bool_)
    for row, cue in enumerate(cues):
        parts = parts_of(cue)
        for column, text in enumerate(sentences):
            found[row, column] = _fits(text, parts.wanted) and not any(part.search(text) for part in parts.barred)
    return found


def _fits(text: str, wanted: Sequence[re.Pattern[str]]) -> bool:
    return all(part.search(text) for part in wanted)


def pooled(
    chances: Float64, words: Sequence[Vector], turned: Sequence[Vector], sizes: tuple[int, int], cues: Mask
) -> Float64:
    """Returns what is known of a statement in one contract: its likeliest sentences' words by how likely each is."""
    best = np.argsort(-chances, kind="stable")[:EVIDENCE]
    share = chances[best] / max(float(chances[best].sum()), 1e-9)
    parts = []
    # [words | turned words], each the mean over the evidence.
    for vectors, size in zip((words, turned), sizes, strict=True):
        mean = np.zeros(size)
        for at, by in zip(best.tolist(), share.tolist(), strict=True):
            indices, values = vectors[at]
            mean[indices] += by * values
        parts.append(mean)
    top = best[:2]
    # [3 x cues] anywhere, in the two likeliest, and by how likely.
    looks = [cues.any(axis=1), cues[:, top].any(axis=1), (cues * chances).max(axis=1, initial=0.0)]
    parts.append(_CUE * np.concatenate(looks))
    ordered = np.concatenate([chances[best], np.zeros(EVIDENCE)])
    told = np.array([ordered[0], ordered[:EVIDENCE].sum(), ordered[1], float(logit(ordered[0])) / 4])
    return np.concatenate([*parts, _TOLD * told])
