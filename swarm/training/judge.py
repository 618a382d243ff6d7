"""Trains an adapter that judges offers, for a language model in a GGUF file; needs torch, transformers and peft.

The prompts and lines of a round's menus are one tree of tokens, in which what they share is computed once: a token sees
those that lead to it. The loss is that of taking the actions of a menu as often as they are worth it to who teaches: a
temperament's rule, or what each would have brought in runs.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from math import cos, pi
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import peft
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from swarm.llm.engines.llama.gguf import read_header
from swarm.llm.scores import NO, YES
from swarm.training.lessons import Lessons
from swarm.training.lora import write_adapter
from swarm.training.offers import OfRound
from swarm.training.recipe import JudgeRecipe, Tell
from swarm.training.tree import Tree

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""The layers of a Llama that an adapter is put beside."""

EQUAL_TICKS = 4.0
"""Actions whose worth differs by much less than this are nearly as good to take."""

GOOD_TICKS, SURE_TICKS = 10.0, 5.0
"""Worth at which yes is as likely as no, and by how much it has to differ for one of them to be fairly sure."""

YES_OR_NO = 0.3
"""Weight of the answer to each action by itself, beside the choice among all."""

ADAPTER = "adapter.gguf"


def train(base: Path, out: Path, recipe: JudgeRecipe, tell: Tell, lessons: Lessons) -> dict[str, Any]:
    """Trains, and writes the adapter and `training.json` into `out`; returns what the latter holds."""
    if recipe.device == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    taught, held_out = lessons.taught, lessons.held_out
    menus = sum(map(len, taught))
    tell(f"{menus} menus of {len(taught)} rounds, {sum(map(len, held_out))} held out; the teacher: {lessons.teacher}")
    judge = Judge(base, recipe.device)
    before = judge.examine(held_out)
    tell(f"as it came: {before}")
    judge.cut(recipe.layers)
    # Beside all linear layers of those that are kept, scaled by 2 whatever the rank.
    lora = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=LINEAR,
        layers_to_transform=list(range(recipe.first_layer, judge.model.config.num_hidden_layers)),
    )
    adapted = peft.get_peft_model(judge.model, lora)
    started, spent = perf_counter(), process_time()
    seen = _fit(judge, adapted, taught, recipe, out, tell)
    record = {
        "recipe": asdict(recipe),
        "teacher": lessons.teacher,
        "left_out": lessons.left_out,
        "base": base.name,
        "menus": seen,
        "tokens": judge.tokens,
        "before": before,
        "after": judge.examine(held_out),
        "trained_s": round(perf_counter() - started),
        "trained_cpu_s": round(process_time() - spent),
        "torch": str(torch.__version__),
    }
    tell(f"adapted: {record['after']}")
    _write(judge, adapted, out)
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


class Judge:
    """A language model of a GGUF file that says how sure it is of yes.

    `tokens` is how many it has computed, and `kept_layers` how many of its layers are left, 0 for all.
    """

    def __init__(self, base: Path, device: str = "cpu") -> None:
        file = {"gguf_file": base.name}
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(base.parent, **file)
        self.device, dtype = device, torch.float32 if device == "cpu" else torch.bfloat16
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            base.parent, dtype=dtype, attn_implementation="sdpa", **file
        ).to(device)
        self.tokens = 0
        self.kept_layers = 0
        # An adapter is made from its base, whose licence its file hands on.
        header = read_header(base)
        self.architecture = header.architecture
        told = {"name": f"Judge of offers for {header.text('general.name') or base.name}", "license": header.licence}
        self.about = {key: value for key, value in told.items() if value}
        # Only the difference of two logits is asked for, which is one row in place of the whole vocabulary.
        yes, no = (self._encoded(word) for word in (YES, NO))
        heads = self.model.get_output_embeddings().weight.detach()
        self._yes_over_no = (heads[yes[0]] - heads[no[0]]).clone()

    def cut(self, layers: int) -> None:
        """Leaves out all layers behind the first so many; 0 leaves out none."""
        if 0 < layers < len(self.model.model.layers):
            self.model.model.layers = self.model.model.layers[:layers]
            self.model.config.num_hidden_layers = self.kept_layers = layers

    def scores(self, of_round: OfRound) -> list[Tensor]:
        """Returns for each menu of a round the log-odds of yes over no, by action."""
        lists = [self._prompt(one.messages) + self._encoded(line) for one in of_round for line in one.lines]
        tree = Tree.of(lists)
        self.tokens += len(tree.tokens)
        # [1, 1, n, n]: 0 where a token sees another, and as low as can be where not.
        hidden = torch.from_numpy(~tree.sees)[None, None]
        dtype = self.model.dtype
        mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, torch.finfo(dtype).min)
        states = self.model.model(
            input_ids=torch.tensor([tree.tokens], device=self.device),
            position_ids=torch.tensor([tree.depth], device=self.device),
            attention_mask=mask.to(self.device),
            use_cache=False,
        ).last_hidden_state[0]
        # Only this much goes back to the CPU, in full precision, since scores are compared.
        scores = (states[tree.ends] @ self._yes_over_no).float().cpu()
        return list(scores.split([len(one.lines) for one in of_round]))

    @torch.inference_mode()
    def examine(self, rounds: Sequence[OfRound]) -> dict[str, float]:
        """Returns the share of menus in which the best action is taken, and of what can be won over a draw by lot."""
        self.model.eval()
        agreed = chance = menus = 0.0
        won = winnable = 0.0
        for of_round in rounds:
            for one, scores in zip(of_round, self.scores(of_round), strict=True):
                taken = int(scores.argmax())
                by_lot = sum(one.worth) / len(one.worth)
                agreed += taken == one.best
                chance += 1 / len(one.worth)
                won += one.worth[taken] - by_lot
                winnable += max(one.worth) - by_lot
                menus += 1
        self.model.train()
        marks = {"agreement": agreed / menus, "by_lot": chance / menus, "share_won": won / winnable}
        return {name: round(mark, 4) for name, mark in marks.items()}

    def _prompt(self, messages: Sequence[Any]) -> list[int]:
        told = [{"role": m.role, "content": m.content} for m in messages]
        text = self.tokenizer.apply_chat_template(told, add_generation_prompt=True, tokenize=False)
        return self._encoded(text)

    def _encoded(self, text: str) -> list[int]:
        # What a template ends in and what a line begins with must not become one token.
        return list(self.tokenizer.encode(text, add_special_tokens=False))


def _fit(judge: Judge, adapted: Any, taught: Sequence[OfRound], recipe: JudgeRecipe, out: Path, tell: Tell) -> int:
    """Goes through the menus once, or until the time is over; returns how many were seen."""
    menus = sum(map(len, taught))
    weights = [p for p in adapted.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=0.0, betas=(0.9, 0.98))
    order = list(taught)
    random.Random(recipe.seed).shuffle(order)  # noqa: S311 - an order, no secret
    started, seen, kept, smooth = perf_counter(), 0, 0, None
    judge.tokens = 0
    for step, first in enumerate(range(0, len(order), recipe.rounds_of_a_step)):
        done = max(seen / menus, (perf_counter() - started) / (60 * recipe.minutes))
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(1.0, (step + 1) / 10) * (0.02 + 0.98 * (0.5 + 0.5 * cos(pi * done)))
        part = order[first : first + recipe.rounds_of_a_step]
        of_step = sum(map(len, part))
        optimiser.zero_grad()
        total = 0.0
        # Round by round, so that only one tree is in memory.
        for of_round in part:
            pairs = zip(of_round, judge.scores(of_round), strict=True)
            loss = torch.stack([_loss(scores, one.worth) for one, scores in pairs]).sum() / of_step
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        seen += of_step
        smooth = total if smooth is None else 0.9 * smooth + 0.1 * total
        if seen - kept >= recipe.keep_every:
            kept = seen
            _write(judge, adapted, out)
            spent = perf_counter() - started
            tell(f"{seen} menus, {judge.tokens} tokens, {spent:.0f} s: loss {smooth:.3f}, kept in {out}")
    return seen


def _loss(scores: Tensor, ticks_of: Sequence[int]) -> Tensor:
    """The divergence of taking by `scores` from taking by what is worth most, and the doubt of each by itself."""
    worth = torch.tensor([float(ticks) for ticks in ticks_of])
    wanted = torch.log_softmax(worth / EQUAL_TICKS, 0)
    among = functional.kl_div(torch.log_softmax(scores, 0), wanted, reduction="sum", log_target=True)
    alone = functional.binary_cross_entropy_with_logits(scores, torch.sigmoid((worth - GOOD_TICKS) / SURE_TICKS))
    return among + YES_OR_NO * alone


def _write(judge: Judge, adapted: Any, out: Path) -> None:
    config = judge.model.config
    # Asked for embeddings, peft would look on the hub whether they were changed.
    found = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False)
    tensors = {name: tensor.detach().float().cpu().numpy() for name, tensor in found.items()}
    lora = adapted.peft_config["default"]
    heads = config.num_attention_heads, config.num_key_value_heads
    write_adapter(out / ADAPTER, tensors, lora.lora_alpha, *heads, judge.about, judge.kept_layers, judge.architecture)
