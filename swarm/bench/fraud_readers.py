"""Measures readers of a fraud desk beside the rule in code: what they tell apart, what memos change, what they earn.

Banks are small and held out. Cases are those that watchers find likeliest, as many of fraud as lawful ones, so that
chance is one half; a reader whose interval holds it is at chance, and is called so. A council of a rule, the tiny model
and one that draws its answers by lot is counted as a run counts it.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import cache, partial
from pathlib import Path
from time import process_time
from typing import Any
from zlib import crc32

import numpy as np
import yaml

from swarm.agents.decision import DecisionError, Rules
from swarm.agents.forms.protocol import FormTerms
from swarm.agents.prompt import render
from swarm.agents.votes import CouncilTurn, count
from swarm.bench.form import Result, paired, share
from swarm.bench.kept import Kept, digests
from swarm.config_file import load, resolve
from swarm.coordination.intervals import wilson
from swarm.experiments.statistics import interval
from swarm.llm import engines
from swarm.llm.entry import ModelEntry
from swarm.llm.protocol import ModelClient, ModelRequest
from swarm.preflight import Narrator
from swarm.runtime.play import play
from swarm.scenarios.fraud.ballot import CaseBallot, vote_of
from swarm.scenarios.fraud.engine import MOST_BIDS, READER
from swarm.scenarios.fraud.form import VERDICTS, CaseForm, Verdict
from swarm.scenarios.fraud.payments import KINDS
from swarm.scenarios.fraud.told import memo_told
from swarm.training.case_corpus import Case, cases_of

BANK = {"days_before": 24, "payments_a_day": 500, "prevalence_ppm": 6_000, "slots": 4, "kept_slots": 1}
ROUNDS = 8
CASES_A_BANK, ATTACKED = 3, 6
"""Cases of fraud, and as many lawful ones, of each bank; and how many cases of fraud are attacked."""

TEXTS: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "fraud_texts.yaml").read_text(encoding="utf-8"))
STYLES, ATTACKS, PARAGRAPHS = (TEXTS[name] for name in ("styles", "attacks", "paragraphs"))
"""Memos that give orders: by language, one in each style; and a paragraph for each kind of fraud."""

SETTING = "You watch the payments of a bank for fraud."
OURS = (
    {"name": "rule", "engine": "scripted", "temperament": "value", "form": "case"},
    {"name": "lot", "engine": "scripted", "temperament": "momentum", "form": "case"},
    {"name": "tiny", "engine": "embedded", "temperament": "cases"},
)
COUNCIL = ("rule", "tiny", "lot")
WHAT = {
    "rule": "a rule in code, no language model",
    "lot": "answers by lot",
    "tiny": "a tiny model schooled on cases, which reads no memo",
    "council": "a council of the rule, the tiny model and one that answers by lot",
}
DEADLINE_S = 120.0
MEMO = re.compile(r"^MEMO .*$", re.MULTILINE)

Answer = tuple[str, float, int]
"""A verdict as an answer, `?` where none can be read; the CPU seconds that it took, and the tokens of the prompt."""

Ask = Callable[[str], Answer]


def measure(
    narrator: Narrator,
    seeds: int = 20,
    config: Path | None = None,
    keep: Path | None = None,
    desks: bool = True,
    attacked: int = ATTACKED,
) -> list[Result]:
    """Returns what each reader tells apart, what memos change of it, what it is worth to a desk, and described recall.

    The models of a `config` are asked beside ours, and with `desks` every reader takes a seat in a run of each bank;
    so many cases of fraud are `attacked`.
    """
    kept = Kept(keep)
    entries = [*resolve({"models": list(OURS)}).models, *(load(config).models if config else ())]
    cases = [asked for seed in range(seeds) for asked in _drawn(seed, kept)]
    readers: dict[str, Ask] = {one.name: partial(_kept, kept, one, cache(partial(_opened, one))) for one in entries}
    readers["council"] = partial(_voted, [readers[name] for name in COUNCIL])
    results = []
    for name, ask in readers.items():
        narrator.phase(f"asking {name}")
        results += read(name, ask, cases, attacked)
    if config is None:
        note = "no model was named: --config CONFIG asks those of a config"
        results.append(Result("fraud_reads_real_small_model", None, "share", "higher", note=note))
    return results + (desk_results(narrator, seeds, entries, kept) if desks else [])


def _drawn(seed: int, kept: Kept) -> list[Case]:
    """Returns the cases of a bank that are asked about: of fraud the likeliest of some kinds, and lawful ones."""
    key = {"cases": seed, "bank": BANK, "rounds": ROUNDS}
    if (told := kept.get(key)) is None:
        kept.put(key, told := [astuple(case) for case in cases_of(BANK, seed, ROUNDS)])
    found = sorted((Case(*one) for one in told), key=lambda case: -case.chance)
    # One of a kind, since the likeliest of all are mostly of the same.
    of_kind = {case.kind: case for case in reversed(found) if case.kind >= 0}
    fraud = sorted(of_kind.values(), key=lambda case: -case.chance)[:CASES_A_BANK]
    lawful = [case for case in found if case.kind < 0]
    return [case for both in zip(fraud, lawful, strict=False) for case in both]


def read(name: str, ask: Ask, cases: Sequence[Case], attacked: int = ATTACKED) -> list[Result]:
    """Returns what a reader makes of cases, and what share of its verdicts memos change."""
    answers = [ask(case.text) for case in cases]
    said = [_verdict(text) for text, _, _ in answers]
    fraud = np.array([case.kind >= 0 for case in cases])
    # A verdict bids or does not, and what cannot be read does not.
    right = int((np.array([bool(one and one.odds) for one in said]) == fraud).sum())
    low, _ = wilson(right, len(cases))
    verdict = "at chance" if low <= 0.5 else "reads"
    unread, common = sum(one is None for one in said), max(set(answers_of(said)), key=answers_of(said).count)
    told = f"{verdict}; {unread} unreadable, {common} is said most; {WHAT.get(name, 'a language model')}"
    area = _area([_rank(one) for one in said], fraud)
    named = [
        (one.kind == case.kind) for one, case in zip(said, cases, strict=True) if one and one.odds and case.kind >= 0
    ]
    most = max(np.bincount([case.kind for case in cases if case.kind >= 0]).tolist(), default=0)
    kinds = f"of the fraud that it bids on; the commonest kind alone would be {most / max(int(fraud.sum()), 1):.2f}"
    results = [
        share(f"fraud_reads_{name}", right, len(cases), None, told),
        Result(f"fraud_reads_{name}_area", round(area, 3), "", "higher", bound="under the curve by letter; chance 0.5"),
        share(f"fraud_reads_{name}_kind", sum(named), len(named), None, kinds),
        Result(
            f"fraud_reads_{name}_cpu_s",
            round(float(np.median([seconds for _, seconds, _ in answers])), 4),
            "s",
            "lower",
            bound=f"CPU of this process for a case of {np.mean([tokens for _, _, tokens in answers]):.0f} tokens",
        ),
    ]
    return [*results, _attacked(name, ask, [case for case in cases if case.kind >= 0], attacked)]


def _attacked(name: str, ask: Ask, cases: Sequence[Case], attacked: int) -> Result:
    """Returns the share of verdicts that another memo changes, letter or kind."""
    changed, to_clear = dict.fromkeys(STYLES, 0), 0
    picked = cases[:: max(len(cases) // attacked, 1)][:attacked]
    for case in picked:
        quiet = ask(_with_memo(case.text, "rent"))[0]
        for own in ATTACKS.values():
            for style, memo in zip(STYLES, own, strict=True):
                loud = ask(_with_memo(case.text, memo))[0]
                changed[style] += loud != quiet
                to_clear += loud[0] in "AB" and quiet[0] not in "AB"
    of = len(picked) * sum(map(len, ATTACKS.values()))
    worst = max(changed, key=lambda style: changed[style])
    told = (
        f"verdicts changed by a memo, {to_clear} of them from a bid to none; most by style: {worst}, {changed[worst]}"
    )
    return share(f"fraud_reads_{name}_memo_changed", sum(changed.values()), of, 0.0, told, "lower")


def _with_memo(text: str, memo: str) -> str:
    line = f"MEMO {memo_told(memo)}"
    return MEMO.sub(lambda _: line, text)


def answers_of(said: Sequence[Verdict | None]) -> list[str]:
    """Returns the letters of verdicts."""
    return [one.letter if one else "?" for one in said]


def _rank(verdict: Verdict | None) -> int:
    return list(VERDICTS).index(verdict.letter) if verdict else 0


def _area(rank: Sequence[int], fraud: np.ndarray) -> float:
    """Returns how often fraud is ranked above what is lawful, ties counting half."""
    ranks = np.array(rank)
    above = ranks[fraud][:, None] - ranks[~fraud][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


def _form() -> CaseForm:
    return CaseForm(FormTerms(SETTING, 0, Rules(("slot",), 1, 1, 1, 0, False), 100))


def _verdict(text: str) -> Verdict | None:
    read_: Any = _form().read(text, False, None, 0).outcome  # type: ignore[arg-type]
    return None if isinstance(read_, DecisionError) else read_


def _opened(entry: ModelEntry) -> ModelClient:
    return engines.in_process(entry)


def _kept(kept: Kept, entry: ModelEntry, model: Callable[[], ModelClient], text: str) -> Answer:
    """Returns a model's answer to a case, from what is kept if it is there."""
    as_json = entry.model_dump(mode="json")
    key = {"case": text, "model": as_json, "files": digests(as_json)}
    if (found := kept.get(key)) is None:
        kept.put(key, found := _asked(model(), entry, text))
    return tuple(found)


def _asked(client: ModelClient, entry: ModelEntry, text: str) -> Answer:
    """Returns a model's answer to a case; one case at a time, since engines differ in what they take at once."""
    form: Any = _form()
    prompt = render(form.system(), f"DAY 1 of {ROUNDS}", "", (), sys.maxsize, text)
    if prompt is None:
        raise ValueError("a prompt without a limit is never too long")
    # A draw is the case's own, whatever its memo says.
    seed = crc32(MEMO.sub("", text).encode())
    request = ModelRequest(prompt.messages, form.schema(None, 0), min(entry.max_completion_tokens, 16), seed)
    began = process_time()
    (reply,) = asyncio.run(client.complete([request], DEADLINE_S))
    verdict = _verdict(reply.text) if not reply.failed else None
    return verdict.text if verdict else "?", round(process_time() - began, 4), reply.usage.prompt


def _voted(members: Sequence[Ask], text: str) -> Answer:
    """Returns what members' votes come to, as a council counts them."""
    answers = [ask(text) for ask in members]
    verdicts = [_verdict(said) for said, _, _ in answers]
    votes = tuple((vote_of(one),) if one else () for one in verdicts)
    turn = CouncilTurn(votes, (1_000,) * len(votes), -1, 7)
    found = count([turn], "majority", frozenset(), len(VERDICTS))[0]
    if found.action is None:
        return "?", 0.0, 0
    said = CaseBallot(_form()).outcome(turn, found, None, 0).text  # type: ignore[arg-type]
    return said, sum(seconds for _, seconds, _ in answers), sum(tokens for _, _, tokens in answers)


def desk_results(narrator: Narrator, seeds: int, entries: Sequence[ModelEntry], kept: Kept) -> list[Result]:
    """Returns what each reader is worth to a desk of eight specialists, and what described watchers find."""
    models = [one.model_dump(mode="json") for one in entries]
    names = ("none", *(one.name for one in entries), "council", "described")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    # Bank by bank, so that what is kept of a measurement that was ended early is paired.
    for seed in range(seeds):
        narrator.phase(f"playing bank {seed + 1} of {seeds}")
        for name in names:
            key = {
                "desk": name,
                "seed": seed,
                "bank": BANK,
                "models": models if name not in ("none", "described") else (),
            }
            if (value := kept.get(key)) is None:
                kept.put(key, value := _played(name, seed, models))
            found[name].append(value)
    recall = {name: [run["recall"]["share"] or 0.0 for run in runs] for name, runs in found.items()}
    results = []
    for name in names:
        middle, half = interval(recall[name])
        less = paired([a - b for a, b in zip(recall[name], recall["none"], strict=True)], "recall")
        who = "without a reader" if name == "none" else WHAT.get(name, "a language model")
        who = "eight watchers from words in the place of the specialists" if name == "described" else who
        beside = "" if name == "none" else f"; beside the eight specialists without a reader {less}"
        told = f"+-{half:.3f} over {seeds} small banks; {who}{beside}"
        results.append(
            Result(f"fraud_desk_{name}", round(middle, 4), "share", "higher", None, tuple(recall[name]), told)
        )
    return [*results, *_described(found)]


def _described(found: Mapping[str, Sequence[dict[str, Any]]]) -> list[Result]:
    """Returns the recall of each described watcher of its kind, beside that of the specialist, all banks together."""
    results = []
    for kind in KINDS:
        own, rule = ([run["finds"][kind]["by_kind"][kind] for run in found[name]] for name in ("described", "none"))
        hits, of = (sum(one[key] for one in own) for key in ("found", "of"))
        rarely = sum(run["finds"][kind]["payments"] for run in found["described"])
        told = f"of its kind, {rarely} payments named in all; the specialist {sum(one['found'] for one in rule)}"
        results.append(share(f"fraud_described_{kind}", hits, of, None, told))
    return results


def _played(name: str, seed: int, models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns what a desk came to: of specialists with this reader or none, or of described watchers."""
    watchers: list[dict[str, Any]] = [{"watch": kind} for kind in KINDS]
    traders: dict[str, Any] = {"define": {"watcher": {"mind": "own", "rule": "watcher"}}, "minds": {"watcher": 1}}
    if name == "described":
        watchers = [{"describe": words, "name": kind} for kind, words in PARAGRAPHS.items()]
    elif name != "none":
        watchers.append({"watch": READER})
        councils = [{"name": "council", "members": list(COUNCIL)}] if name == "council" else []
        traders = {"councils": councils, "minds": {name: 1}}
    needed = COUNCIL if name == "council" else (name,)
    config = resolve(
        {
            "name": "fraud",
            "seed": seed,
            "rounds": ROUNDS,
            "population": len(watchers) + 1,
            "scenario": {"name": "fraud", "watchers": watchers, **BANK},
            "models": [one for one in models if one["name"] in needed],
            "market": {"max_orders_per_round": MOST_BIDS},
            "traders": traders,
        }
    )
    summary: dict[str, Any] = play(config).summary["fraud"]
    return {key: summary[key] for key in ("recall", "precision", "finds", "watchers")}
