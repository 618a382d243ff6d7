"""The mind `council`: several models vote, each by itself, and their votes are counted.

They vote on an action of the menu, or in another form that has a ballot. Members do not discuss, which was measured to
hurt small models. Each sees a menu's actions in an order of its own, so that a liking for a letter is no vote. A member
that is late, fails or says nonsense has cast no vote; the turn is lost only where nobody votes. What members were worth
is kept elsewhere and shown to a council with the round.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from swarm.agents.asking import Asked, ask_model
from swarm.agents.ballots import ballot_of, voted
from swarm.agents.config import CouncilConfig
from swarm.agents.decision import DecisionError, Reading, engine_failure
from swarm.agents.decisions import Decisions, decisions_of
from swarm.agents.forms.menu import MenuForm
from swarm.agents.mind import MindPlugin, Seats, TurnBound
from swarm.agents.observation import Int64, MembersWorth, Observation
from swarm.agents.plan import ShardPlan
from swarm.agents.recall import Question, Recollection
from swarm.agents.turns import Call, Turns
from swarm.agents.votes import NO_VOTES, OPTIONS, CouncilTurn, Count, count
from swarm.coordination.standing import default_stand
from swarm.llm.protocol import FinishReason, ModelClient
from swarm.seeding import draw_below

_UNASKED = str(DecisionError.OVER_BUDGET)


@dataclass(slots=True)
class _Vote:
    """One answer of a member to one seat: its letters in the order of the common menu, or the kind of error.

    `calls` has the call that it took, none where the prompt fitted no budget.
    """

    text: str
    calls: list[Call]
    pruned: int


class CouncilMind:
    """Traders whom a council decides for."""

    def __init__(self, name: str, section: CouncilConfig, plan: ShardPlan) -> None:
        self.name = name
        self.config = section
        self.seats = section.seats
        self.models = frozenset(member.model for member in self.seats)
        members = Counter(member.model for member in self.seats)
        calls = {model: seats * section.samples for model, seats in members.items()}
        self.most = TurnBound.sum(plan.budget.tokens_per_turn, calls)
        self.overseers = section.overseers
        self._plan = plan
        # All members answer in one form that has a ballot: the plug-in says so, and planning sees to it.
        self._ballot = ballot_of(plan.form(self.seats[0].model))
        self._forms = [
            self._ballot.member(f"council {name} {number}", seat.role or "") for number, seat in enumerate(self.seats)
        ]

    async def decide(self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float) -> Turns:
        """Returns the votes of those members that were asked, as one turn for each seat.

        Where staffing chose a model, that one decides alone, in the seat of the member who leads.
        """
        own = tuple(member.model for member in self.seats)
        groups = [
            self._sit(group, models, deadline_s, None if names == own else names[0])
            for names, group in seats.chosen(*own)
        ]
        return Turns.join(await asyncio.gather(*groups))

    async def _sit(
        self, seats: Seats, models: Mapping[str, ModelClient], deadline_s: float, instead: str | None
    ) -> Turns:
        loop = asyncio.get_running_loop()
        # One deadline for all stages; each is given what the ones before it have left.
        end = loop.time() + deadline_s
        worth = self._worth(seats)
        votes: list[dict[int, list[_Vote]]] = [{} for _ in range(len(seats))]
        everybody = np.arange(len(seats))
        meets = self._meets(seats)
        lead = self._lead(worth)
        # Staffing chose one cheaper model, and a council of one is no council.
        if instead is not None:
            meets[:] = False
        # Where the council does not meet, its lead alone is asked.
        if (~meets).any():
            await self._hear([lead], seats, everybody[~meets], votes, models, end - loop.time(), instead)
        first, others = self._order(lead)
        # Two members first; the others are asked only where these two differ, or one of them cast no vote.
        if self.config.when.disagreement:
            await self._hear(first, seats, everybody[meets], votes, models, end - loop.time())
            differ = [i for i in everybody[meets].tolist() if not self._agree(votes[i], first)]
            await self._hear(others, seats, np.array(differ, dtype=np.int64), votes, models, end - loop.time())
        else:
            await self._hear([*first, *others], seats, everybody[meets], votes, models, end - loop.time())
        # One draw for each seat parts its ties; 63 bits, since a journal holds signed numbers.
        return self._turns(seats, votes, worth, seats.seeds(self._plan.seed, f"council {self.name}"))

    def read(self, turns: Turns, seats: Seats) -> Decisions:
        """Returns the decisions that the votes come to, counted again."""
        cast, rows = [self._cast(text) for text in turns.text], seats.rows.tolist()
        # All turns are counted at once, and those that are none come to nothing.
        found = [turn for turn in cast if turn]
        options = [self._ballot.options(seats.seen, row) for row, turn in zip(rows, cast, strict=True) if turn]
        counted = iter(self._count(found, np.array(options, dtype=np.int64)))
        readings = [
            self._reading(turn, next(counted) if turn else NO_VOTES, reason, seats.seen, row)
            for turn, reason, row in zip(cast, turns.finish_reason, rows, strict=True)
        ]
        traders = self._plan.traders
        stand = default_stand(traders.standing)
        return decisions_of(turns, readings, self._plan.rules.goods, traders.max_gossip_chars, stand, False)

    def recall(self, text: str, calls: Sequence[Call], seats: Seats) -> Recollection:
        """Returns the question of each vote, and what the votes came to."""
        turn = CouncilTurn.from_text(text, len(self.seats))
        found = self._count([turn])[0]
        # What a member saw in an order of its own was put down by the letters that all have in common.
        questions = tuple(
            Question(
                f"member {member + 1} of {len(self.seats)}" + (f", {seat.role}" if seat.role else ""),
                self._ballot.told(vote),
                self._forms[member],
            )
            for member, (seat, votes) in enumerate(zip(self.seats, turn.votes, strict=True))
            for vote in votes
        )
        won = "nobody voted" if found.action is None else f"the votes come to {found.letters}"
        ended = ", vetoed" if found.vetoed else ", in doubt" if found.abstained else ""
        return Recollection(questions, f"{won}{ended}, counted by {self.config.rule}")

    def _cast(self, text: str) -> CouncilTurn | None:
        """Returns the votes of a turn; None where it is no turn of this council."""
        try:
            return CouncilTurn.from_text(text, len(self.seats))
        except (ValueError, RecursionError):
            return None

    def _count(self, turns: Sequence[CouncilTurn], actions: Int64 | int = OPTIONS) -> list[Count]:
        return count(turns, self.config.rule, self.overseers, actions)

    def _reading(
        self, turn: CouncilTurn | None, found: Count, finish_reason: str, seen: Observation, row: int
    ) -> Reading[Any]:
        if turn is None:
            return Reading(DecisionError.BAD_CHOICE if finish_reason == "stop" else engine_failure(finish_reason))
        steps = sum(len(one) for one in turn.votes)
        if found.action is None:
            # Nobody voted: the turn is lost to the first error that a member made.
            return Reading((*turn.faults, DecisionError.ENGINE)[0], steps=steps, faults=turn.faults)
        return Reading(self._ballot.outcome(turn, found, seen, row), steps=steps, faults=turn.faults)

    def _worth(self, seats: Seats) -> MembersWorth:
        return seats.seen.public.members_worth.get(self.name) or MembersWorth.alike(
            len(self.seats), self.config.abstain_permille
        )

    def _lead(self, worth: MembersWorth) -> int:
        """Returns who decides where the council does not meet: the best member by what is known, of those that vote."""
        voters = [m for m in range(len(self.seats)) if m not in self.overseers]
        return worth.alone if worth.alone in voters else max(voters, key=lambda m: worth.weights_permille[m])

    def _order(self, lead: int) -> tuple[list[int], list[int]]:
        """Returns the two members that are asked first, and the others."""
        order = [lead, *(m for m in range(len(self.seats)) if m != lead)]
        return order[:2], order[2:]

    def _meets(self, seats: Seats) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Returns for which seats the council meets: by their stake, and by a draw of its own for each."""
        when, plan = self.config.when, self._plan
        meets = np.ones(len(seats), dtype=np.bool_)
        if when.share_of_turns < 1:
            stream = f"council {self.name} meets"
            # In millionths, so that the draw is one of whole numbers.
            meets &= draw_below(plan.seed, stream, 1_000_000, seats.seen.public.round, seats.trader) < int(
                1_000_000 * when.share_of_turns
            )
        if when.stake_ticks is not None:
            stakes = [self._ballot.stake_ticks(seats.seen, row) for row in seats.rows.tolist()]
            meets &= np.array(stakes) >= when.stake_ticks
        return meets

    def _agree(self, votes: dict[int, list[_Vote]], members: Sequence[int]) -> bool:
        """Tells whether the first votes of these members name one action."""
        first = {votes[m][0].text[:1] if len(votes[m][0].text) == 2 else f"none of {m}" for m in members if m in votes}
        return len(first) == 1 and len(members) > 1

    async def _hear(
        self,
        members: Sequence[int],
        seats: Seats,
        indices: "np.ndarray[tuple[int], np.dtype[np.int64]]",
        votes: list[dict[int, list[_Vote]]],
        models: Mapping[str, ModelClient],
        left_s: float,
        instead: str | None = None,
    ) -> None:
        """Asks these members at these indices of `seats`, all at once, and puts down what they answer."""
        if not len(indices):
            return
        heard = seats.take(indices)
        # Each sample is a question of its own, with seeds of its own.
        questions = [(member, sample) for member in members for sample in range(self.config.samples)]
        names = [instead or self.seats[member].model for member, _ in questions]
        asked = await asyncio.gather(
            *(
                self._ask(question, model, heard, models, left_s)
                for question, model in zip(questions, names, strict=True)
            )
        )
        rows, most = list(zip(indices.tolist(), heard.rows.tolist(), strict=True)), self._plan.budget.tokens_per_turn
        for (member, _), model, answer in zip(questions, names, asked, strict=True):
            form, pruned = self._forms[member], answer.pruned_messages.tolist()
            for i, (index, row) in enumerate(rows):
                # The letters as the common menu has them; a prompt that fitted no budget was no call.
                reply = answer.replies[i]
                text = _UNASKED if reply is None else voted(form, reply, seats.seen, row, most)
                votes[index].setdefault(member, []).append(_Vote(text, answer.calls(model, i), pruned[i]))

    async def _ask(
        self,
        question: tuple[int, int],
        model: str,
        seats: Seats,
        models: Mapping[str, ModelClient],
        left_s: float,
    ) -> Asked:
        member, sample = question
        seeds = seats.seeds(self._plan.seed, f"council {self.name} {member} {sample}")
        form, client = self._forms[member], models[model]
        return await ask_model(self._plan, model, form, seats, client, seeds, max(left_s, 0.0))

    def _turns(
        self, seats: Seats, votes: list[dict[int, list[_Vote]]], worth: MembersWorth, drawn: Sequence[int]
    ) -> Turns:
        """Returns one turn for each seat, with a call for each answer, in the members' order."""
        texts, pruned, calls = [], [], []
        # A turn's text holds the votes of all members; its calls are those that an engine really answered.
        for i, own in enumerate(votes):
            by_member = tuple([tuple([vote.text for vote in own.get(m, ())]) for m in range(len(self.seats))])
            texts.append(
                CouncilTurn(by_member, worth.weights_permille, worth.alone, drawn[i], worth.doubt_permille).to_text()
            )
            answers = [vote for m in sorted(own) for vote in own[m]]
            pruned.append(max((vote.pruned for vote in answers), default=0))
            calls.append([call for vote in answers for call in vote.calls])
        # A council's turn always ends by itself, since what members did not say is in its votes.
        ended: list[FinishReason] = ["stop"] * len(seats)
        return Turns.asked_often(self.name, seats.trader, texts, ended, calls, np.array(pruned, dtype=np.int64))


MIND = MindPlugin(
    name="council",
    summary="Several models vote, each by itself: on an action of the menu, or on what their form has a ballot for.",
    Config=CouncilConfig,
    build=CouncilMind,
    models=lambda section: tuple(dict.fromkeys(member.model for member in section.seats)),
    form=MenuForm.name,
    votes=True,
)
