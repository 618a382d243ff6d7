"""Measures classical readers on labelled contracts: clauses of CUAD, and unfair terms, from the user's own copies.

TF-IDF and logistic regression are fitted anew on the training part, and every threshold is set on training documents
that the fit has not seen; test documents are read once. None of it is a language model.
"""

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm.bench.form import Result
from swarm.preflight import Narrator
from swarm.scenarios.contract.quotation import Span

Float32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

PIECE, JOINED = 220, 440
"""Characters from which on a piece of text ends with its sentence, and up to which short ones are joined."""

HELD_OUT = 5
"""Every so many-th training document sets thresholds."""

FREE_TEXT = (
    *("Document Name", "Parties", "Agreement Date", "Effective Date", "Expiration Date", "Renewal Term"),
    *("Notice Period to Terminate Renewal", "Governing Law"),
)
"""Categories that almost every contract has, so that saying yes to them says nothing."""

UNFAIR = ("a", "ch", "cr", "j", "law", "ltd", "ter", "use")
_CUT = re.compile(r"(?<=[.;:!?])[\"\u201d\u2019)]*\s+(?=[A-Z(\"\u201c\d])")


@dataclass(eq=False)
class Labelled:
    """Contracts cut into pieces: of each its document, its span, and [pieces, categories] what it is labelled as."""

    texts: list[str]
    labels: list[dict[str, list[list[int]]]]
    categories: list[str]
    document: npt.NDArray[np.int64]
    spans: list[Span]
    is_a: Mask

    def pieces(self) -> list[str]:
        """Returns the pieces' texts."""
        return [self.texts[d][s:e] for d, (s, e) in zip(self.document.tolist(), self.spans, strict=True)]


def pieces_of(text: str) -> list[Span]:
    """Returns a text in pieces of whole sentences, short ones joined to the one before."""
    # Lines first, since contracts break them at clauses; then sentences.
    cut: list[Span] = []
    for line in re.finditer(r"[^\n]*\S[^\n]*", text):
        start = line.start()
        for end in (found.end() for found in _CUT.finditer(text, line.start(), line.end())):
            if end - start >= PIECE:
                cut.append((start, end))
                start = end
        cut.append((start, line.end()))
    joined: list[Span] = []
    for start, end in cut:
        short = joined and (end - start < 60 or joined[-1][1] - joined[-1][0] < 60)
        if short and end - joined[-1][0] <= JOINED:
            joined[-1] = (joined[-1][0], end)
        elif end > start:
            joined.append((start, end))
    return joined


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _labelled(documents: Sequence[dict[str, Any]]) -> Labelled:
    categories = sorted({name for one in documents for name in one["labels"]})
    # A row for each piece.
    owner, spans, is_a = [], [], []
    for number, one in enumerate(documents):
        for start, end in pieces_of(one["text"]):
            owner.append(number)
            spans.append((start, end))
            is_a.append([any(_about(start, end, a, b) for a, b in one["labels"].get(c, [])) for c in categories])
    texts, labels = [one["text"] for one in documents], [one["labels"] for one in documents]
    return Labelled(texts, labels, categories, np.array(owner), spans, np.array(is_a, dtype=np.bool_))


def _about(start: int, end: int, first: int, last: int) -> bool:
    """Tells whether a piece and a labelled span share more than a few characters."""
    return min(end, last) - max(start, first) > min(20, 0.5 * min(last - first, end - start))


def measure(narrator: Narrator, data: Path) -> list[Result]:
    """Returns the figures of what the folder has; what it lacks is not measured, and says so."""
    if find_spec("sklearn") is None:
        return [Result("contracts_cuad", None, "F1", "higher", note="install the extra `contracts`")]
    results: list[Result] = []
    for name, part in (("cuad", _cuad), ("unfair_tos", _unfair)):
        if not (data / name).is_dir():
            results.append(Result(f"contracts_{name}", None, "F1", "higher", note=f"there is no {data / name}"))
            continue
        narrator.phase(f"fitting and reading {name}")
        results += part(data / name)
    return results


def _features(pieces: list[str], document: npt.NDArray[np.int64], known: Mask) -> Any:
    """Returns [pieces, words]: a piece's own words and pairs of words, and those of its neighbours at less weight."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    train = [text for text, one in zip(pieces, known.tolist(), strict=True) if one]
    common = {"sublinear_tf": True, "strip_accents": "unicode", "dtype": np.float32}
    own = TfidfVectorizer(ngram_range=(1, 2), min_df=8, max_features=60_000, **common).fit(train).transform(pieces)
    near = TfidfVectorizer(min_df=20, max_features=6_000, **common).fit(train).transform(pieces)
    # A neighbour of another document is none.
    same = document[1:] == document[:-1]
    before = near[np.maximum(np.arange(len(pieces)) - 1, 0)].multiply(0.4 * np.concatenate([[False], same])[:, None])
    after = near[np.minimum(np.arange(len(pieces)) + 1, len(pieces) - 1)].multiply(
        0.4 * np.concatenate([same, [False]])[:, None]
    )
    # Where in its document a piece stands: among the first, or near the end.
    count = np.bincount(document)
    rank = np.arange(len(pieces)) - np.concatenate([[0], np.cumsum(count)[:-1]])[document]
    share = rank / np.maximum(count[document] - 1, 1)
    place = np.stack([rank < 3, rank < 8, share < 0.05, share > 0.9, share > 0.97], axis=1) * 0.5
    return hstack([own, before, after, csr_matrix(place)]).tocsr().astype(np.float64)


def _probabilities(features: Any, is_a: Mask, train: Mask, wanted: Mask) -> Float32:
    """Returns [wanted pieces, categories] by a logistic regression for each category."""
    from sklearn.linear_model import LogisticRegression

    # Of pieces without any label some are enough, each counting for those left out.
    labelled: Mask = np.asarray(is_a.any(axis=1))
    share = 0.15
    rows = np.flatnonzero(train & (labelled | (np.random.default_rng(0).random(len(is_a)) < share)))
    weight = np.where(labelled[rows], 1.0, 1 / share)
    own, others = features[rows], features[np.flatnonzero(wanted)]
    found = np.zeros((int(wanted.sum()), is_a.shape[1]), dtype=np.float32)
    for category in range(is_a.shape[1]):
        truth = is_a[rows, category]
        model = LogisticRegression(C=10, solver="liblinear", random_state=0, tol=2e-2)
        model.fit(own, truth, sample_weight=weight * np.where(truth, 3.0, 1.0))
        found[:, category] = model.predict_proba(others)[:, 1]
    return found


def _cuad(folder: Path) -> list[Result]:
    """Returns contract-level F1, and F1, Jaccard and false `none` by ContractEval's rule, on the test contracts."""
    train = [*_lines(folder / "cuad_train_a.jsonl.gz"), *_lines(folder / "cuad_train_b.jsonl.gz")]
    test = _lines(folder / "cuad_test63.jsonl.gz")
    found = _labelled([*train, *test])
    of = found.document
    known, held = of < len(train), (of < len(train)) & (of % HELD_OUT == 0)
    features = _features(found.pieces(), of, known)
    probability = np.zeros(found.is_a.shape, dtype=np.float32)
    probability[held] = _probabilities(features, found.is_a, known & ~held, held)
    probability[~known] = _probabilities(features, found.is_a, known, ~known)
    # [documents] those that set thresholds, and those that are read.
    setting = np.unique(of[held])
    reading = np.arange(len(train), len(train) + len(test))
    return [_contract_level(found, probability, setting, reading), *_quoting(found, probability, setting, reading)]


def _best(found: Labelled, probability: Float32, documents: Any) -> tuple[Any, Mask]:
    """Returns [documents, categories] the likeliest piece of each, and whether it is labelled at all."""
    top = np.array([probability[found.document == one].max(axis=0) for one in documents.tolist()])
    truth = np.array([[c in found.labels[one] for c in found.categories] for one in documents.tolist()])
    return top, truth


def _threshold(score: Any, truth: Any) -> float:
    """Returns the threshold with the best F1."""
    scored = []
    for threshold in np.unique(score).tolist():
        said = np.asarray(score >= threshold)
        scored.append((2 * float((said & truth).sum()) / max(int(said.sum() + truth.sum()), 1), threshold))
    return float(max(scored)[1])


def _contract_level(found: Labelled, probability: Float32, setting: Any, reading: Any) -> Result:
    # [documents, categories] the likeliest piece decides.
    asked = [k for k, name in enumerate(found.categories) if name not in FREE_TEXT]
    top, truth = (part[:, asked] for part in _best(found, probability, setting))
    # A category's own threshold is drawn half-way to that of all, since some have few contracts to set it by.
    own = np.array([_threshold(top[:, k], truth[:, k]) for k in range(len(asked))])
    threshold = (own + _threshold(top.ravel(), truth.ravel())) / 2
    read, gold = (part[:, asked] for part in _best(found, probability, reading))
    said = read >= threshold
    hits, f1 = int((said & gold).sum()), 2 * (said & gold).sum() / (said.sum() + gold.sum())
    told = f"precision {hits / said.sum():.3f}, recall {hits / gold.sum():.3f}; TF-IDF of the data's scripts 0.778"
    low, high = _interval(said, gold)
    return Result(
        "contracts_cuad_contract_f1",
        round(float(f1), 4),
        "F1",
        "higher",
        0.80,
        bound=f"95% {low:.3f} to {high:.3f}; {told}",
    )


def _interval(said: Mask, gold: Mask) -> tuple[float, float]:
    """Returns the 95% interval of micro F1 by a bootstrap over contracts."""
    drawn = np.random.default_rng(0).integers(0, len(gold), (1_000, len(gold)))
    both, either = (said & gold).sum(axis=1), said.sum(axis=1) + gold.sum(axis=1)
    f1 = 2 * both[drawn].sum(axis=1) / np.maximum(either[drawn].sum(axis=1), 1)
    low, high = np.quantile(f1, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Quoted:
    """What quoting one category of one contract came to, by ContractEval's rule: right only if all gold is in it."""

    wanted: bool
    said: bool
    right: bool
    jaccard: float


def _quoting(found: Labelled, probability: Float32, setting: Any, reading: Any) -> list[Result]:
    """Returns the figures of quoting; both thresholds of a category are set on documents that the fit has not seen."""
    chosen: list[tuple[float, float]] = []
    for category in range(len(found.categories)):
        top, truth = (part[:, category] for part in _best(found, probability, setting))
        least = _threshold(top, truth)
        grid = [(min(least * by, 0.95), share) for by in (0.6, 1.0, 1.5) for share in (0.1, 0.3, 0.6, 1.0)]
        # F1 and Jaccard are both aimed at, and count alike.
        scored = []
        for least_of_all, share in grid:
            rows = [_quote(found, probability, one, category, least_of_all, share) for one in setting.tolist()]
            f1, _, _, jaccard, _ = _figures([row for row in rows if row])
            scored.append((f1 + jaccard, least_of_all, share))
        chosen.append(max(scored)[1:])
    rows = [
        _quote(found, probability, one, category, *chosen[category])
        for one in reading.tolist()
        for category in range(len(found.categories))
    ]
    f1, precision, recall, jaccard, none = _figures([row for row in rows if row])
    told = f"precision {precision:.3f}, recall {recall:.3f}; the data's scripts 0.719, GPT-4.1 0.641"
    return [
        Result("contracts_cuad_quoting_f1", round(f1, 4), "F1", "higher", 0.72, bound=told),
        Result(
            "contracts_cuad_jaccard", round(jaccard, 4), "share", "higher", 0.45, bound="0.343 and 0.472 of these two"
        ),
        Result(
            "contracts_cuad_false_none", round(none, 4), "share", "lower", 0.10, bound="0.145 and 0.071 of these two"
        ),
    ]


def _quote(
    found: Labelled, probability: Float32, document: int, category: int, least: float, share: float
) -> Quoted | None:
    """Returns how one category of one contract was quoted; None where its labels have no span."""
    text, name = found.texts[document], found.categories[category]
    gold = [text[a:b] for a, b in found.labels[document].get(name, [])]
    if name in found.labels[document] and not gold:
        return None
    rows = np.flatnonzero(found.document == document)
    own = probability[rows, category]
    hits = set(np.flatnonzero(own >= min(least * share, own.max())).tolist()) if own.max() >= least else set()
    # A piece between two that are quoted belongs to them.
    hits |= {hit + 1 for hit in hits if hit + 2 in hits}
    said = "\n".join(text[slice(*found.spans[rows[hit]])] for hit in sorted(hits))
    plain = " ".join(said.split())
    right = bool(gold) and all(" ".join(one.split()) in plain for one in gold)
    return Quoted(bool(gold), bool(said), right, _jaccard(" ".join(gold), said) if gold and said else 0.0)


def _jaccard(one: str, other: str) -> float:
    """Returns how alike two texts are as sets of words, as ContractEval counts them."""
    words = [set(re.sub(r"[.,;:]", "", text).lower().replace("/", " ").split(" ")) for text in (one, other)]
    return len(words[0] & words[1]) / len(words[0] | words[1])


def _figures(rows: Sequence[Quoted]) -> tuple[float, float, float, float, float]:
    """Returns F1, precision, recall, mean Jaccard and the share of false `none`."""
    wanted = [row for row in rows if row.wanted]
    right, wrong = sum(row.right for row in wanted), sum(row.said and not row.wanted for row in rows)
    precision, recall = right / max(right + wrong, 1), right / max(len(wanted), 1)
    jaccard = float(np.mean([row.jaccard for row in wanted])) if wanted else 0.0
    none = sum(not row.said for row in wanted) / max(len(wanted), 1)
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall, jaccard, none


def _unfair(folder: Path) -> list[Result]:
    """Returns macro F1 over eight classes of unfair terms, in the corpus' own five folds by company."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    # A row for each company's terms, in one fold each.
    rows = _lines(folder / "claudette_en.jsonl.gz")
    text = [sentence.lower() for row in rows for sentence in row["sentences"]]
    fold = np.array([row["fold"] for row in rows for _ in row["sentences"]])
    tags = [tag for row in rows for tag in row["tags"]]
    # Grades 2 and 3 are unfair, 1 is fair.
    unfair = np.array(
        [[any(t.rstrip("123") == name and t[-1] in "23" for t in own) for name in UNFAIR] for own in tags]
    )
    said = np.zeros(unfair.shape, dtype=np.bool_)
    for one in sorted(set(fold.tolist())):
        train, test = fold != one, fold == one
        words = TfidfVectorizer(ngram_range=(1, 3), min_df=2, sublinear_tf=True)
        own = words.fit_transform([t for t, k in zip(text, train.tolist(), strict=True) if k])
        others = words.transform([t for t, k in zip(text, test.tolist(), strict=True) if k])
        for k in range(len(UNFAIR)):
            model = LogisticRegression(C=50, class_weight={0: 1, 1: 4}, solver="liblinear", random_state=0)
            said[test, k] = model.fit(own, unfair[train, k]).predict_proba(others)[:, 1] >= 0.5
    macro = float(np.mean([f1_score(unfair[:, k], said[:, k]) for k in range(len(UNFAIR))]))
    told = f"{len(text):,} sentences of {len(rows)} terms; the same method as the data's scripts"
    return [Result("contracts_unfair_macro_f1", round(macro, 4), "F1", "higher", 0.637, bound=told)]
