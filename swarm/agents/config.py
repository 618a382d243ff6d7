"""The traders' and the budget's sections of a config."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Discriminator, Field, JsonValue, StringConstraints, Tag, model_validator

from swarm.coordination.config import RouterConfig
from swarm.coordination.standing import StandingConfig
from swarm.schema import NAME, VARIABLE_NAME, StrictModel

ToolName = Literal[
    "market_data", "price_history", "portfolio", "portfolio_delta", "place_order", "cancel_order", "send_message"
]
TOOLS: tuple[ToolName, ...] = get_args(ToolName)

DEFAULT_CONTACTS = 3


def _printable(text: str) -> str:
    """Returns the same; ValueError where it is more than a line, or holds what no line does."""
    if not text.isprintable():
        raise ValueError("expected one line, without line breaks and control characters")
    return text


OneLine = Annotated[str, StringConstraints(min_length=1, max_length=280), AfterValidator(_printable)]
Template = Annotated[str, StringConstraints(min_length=1, max_length=8_000)]


class DeskConfig(StrictModel):
    """Traders that act with tools: they look, order and speak in several calls of a model, then finish."""

    name: str = Field(min_length=1, max_length=40, pattern=NAME)
    """What the desk is called: a mind for `traders.minds`, as a model's name is."""

    model: str
    """The name of the model that thinks at this desk."""

    role: str = Field(default="", max_length=400)
    """What its traders are to attend to, in a sentence that stands in their prompt."""

    tools: tuple[ToolName, ...] = Field(default=TOOLS, min_length=1)
    """The tools that lie on the desk, each bound to the one trader that uses it; `final_answer` is always there."""

    max_steps: int = Field(default=8, ge=1, le=30)
    """Most calls of the model in a turn; a desk that has not finished by then passes."""

    max_tokens: int = Field(default=8_000, ge=100, le=1_000_000)
    """Most tokens of a turn, prompts and replies of all its steps summed; it stands in place of
    `budget.tokens_per_turn`, which bounds a single prompt and its reply."""

    max_seconds: float = Field(default=20.0, gt=0.0, le=3_600.0)
    """Most seconds of a turn; the round's deadline bounds it, too."""


RoleName = Literal["analyst", "quant", "news", "risk", "oversight"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)


class MemberConfig(StrictModel):
    """One seat of a council."""

    model: str
    """The name of the model that votes here; it answers by menu."""

    role: RoleName | None = None
    """What it attends to, said in its prompt; `oversight` may veto. Null: nothing beyond the menu, which is all that an
    embedded model knows."""


def _member_tag(member: Any) -> str:
    """Returns "name" or "seat" for a member, in plain values or as a model."""
    return "seat" if isinstance(member, dict | MemberConfig) else "name"


# With a tag, what is wrong with a seat is said of its key, and not of both kinds of members.
_Member = Annotated[Annotated[str, Tag("name")] | Annotated[MemberConfig, Tag("seat")], Discriminator(_member_tag)]


class WhenConfig(StrictModel):
    """The conditions on which a council meets, all of which must hold; otherwise its lead decides alone."""

    stake_ticks: int | None = Field(default=None, ge=0, le=10**9)
    """The gain that is expected of the best action less that of the second must reach this; null: any."""

    share_of_turns: float = Field(default=1.0, ge=0.0, le=1.0)
    """The council meets in this share of turns, drawn from the seed."""

    disagreement: bool = False
    """The other members are asked only where the first two do not choose the same action."""


class CouncilConfig(StrictModel):
    """A mind of several models that vote, each by itself."""

    name: str = Field(min_length=1, max_length=40, pattern=NAME)
    """What the council is called: a mind for `traders.minds`, as a model's name is."""

    members: tuple[_Member, ...] = Field(min_length=2, max_length=16)
    """Who votes: names of models, or a model with a role. A name that is a role has it: analyst, quant, news, risk,
    oversight."""

    rule: Literal["majority", "weighted", "confident", "dawid_skene"] = "majority"
    """How votes are counted: all alike; weighted by realised outcomes; by the most self-consistent member alone; or
    weighted by how often members agree, without outcomes."""

    samples: int = Field(default=1, ge=1, le=9)
    """How often each member is asked in a turn; each answer is a vote."""

    when: WhenConfig = WhenConfig()
    """When the council meets; by default in every turn."""

    abstain_permille: int = Field(default=0, ge=0, le=999)
    """The council passes where the winning action is right less often than this, in 1/1000, as its judged turns tell;
    the votes' own probability counts until enough are judged, and one member is followed alone only if it is surely
    right so often. 0: never."""

    half_life_calls: int = Field(default=50, ge=1, le=100_000)
    """After so many judged calls of a member, what it did before them counts half."""

    judged_per_round: int = Field(default=8, ge=0, le=10_000)
    """Most turns of a round that are judged, by clearing the round again with each action of the menu."""

    @model_validator(mode="after")
    def _has_different_members(self) -> Self:
        seats = [(member.model, member.role) for member in self.seats]
        # The same model in the same role would be counted as two voters that never disagree.
        if len(set(seats)) < len(seats):
            raise ValueError("two members are one model in one role; raise `samples` to ask a model several times")
        if sum(role == "oversight" for _, role in seats) == len(seats):
            raise ValueError("expected a member that does not only oversee")
        # One answer always agrees with itself, so that nobody would be more self-consistent than others.
        if self.rule == "confident" and self.samples == 1:
            raise ValueError("the rule confident compares a member's answers; set `samples` to 2 or more")
        return self

    @property
    def seats(self) -> tuple[MemberConfig, ...]:
        """The members with their roles."""
        return tuple(
            # A bare name that is a role is both: a model of that name in that role.
            MemberConfig(model=member, role=next((r for r in ROLES if r == member), None))
            if isinstance(member, str)
            else member
            for member in self.members
        )

    @property
    def overseers(self) -> frozenset[int]:
        """The numbers of those who do not vote for an action but may veto it."""
        return frozenset(number for number, seat in enumerate(self.seats) if seat.role == "oversight")


Critical = Literal["loan", "short", "suspicion"]
CRITICAL: tuple[Critical, ...] = get_args(Critical)


class CascadeConfig(StrictModel):
    """A mind of two models: a small one decides, and a large one is asked where that is worth its price."""

    name: str = Field(min_length=1, max_length=40, pattern=NAME)
    """What the cascade is called: a mind for `traders.minds`, as a model's name is."""

    small: str
    """The name of the model that is asked in every turn."""

    large: str
    """The name of the model that is asked besides where the small one is likely to be wrong and much is at stake."""

    samples: int = Field(default=1, ge=1, le=9)
    """How often the small model is asked in a turn. With one answer its engine must tell how sure it is; with several,
    how often they agree says that where the engine does not, and most of them decide."""

    price_ticks: float | None = Field(default=None, gt=0.0, le=1e9)
    """What a call of the large model is taken to cost, in ticks; null: what a turn at its longest costs in dollars,
    times `ticks_per_usd`."""

    ticks_per_usd: float = Field(default=100_000.0, gt=0.0, le=1e12)
    """How many ticks a dollar of thinking is worth."""

    always: tuple[Critical, ...] = CRITICAL
    """What is brought to the large model whatever it costs: an order on credit (`loan`), a sale of what one does not
    have (`short`), and a turn in which something heard reads like an instruction to a model (`suspicion`)."""

    once_in_rounds: int = Field(default=10, ge=1, le=100_000)
    """So many rounds pass for a trader between two turns that are brought to the large model whatever it costs."""

    judged_per_round: int = Field(default=8, ge=0, le=10_000)
    """Most turns of a round that are judged, by clearing the round again with each action of the menu."""

    kept_turns: int = Field(default=2_000, ge=50, le=100_000)
    """How many of the last judged turns say how often a margin is right."""

    @model_validator(mode="after")
    def _has_two_tiers(self) -> Self:
        if self.small == self.large:
            raise ValueError("small and large are one model; raise `samples` to ask a model several times")
        return self


class MemoryConfig(StrictModel):
    """What traders remember of one another: a signed regard for each acquaintance, and nothing of what was said.

    To trade with somebody, or to be paid by a party, counts 1. A tip that came true counts 2 for who gave it, one that
    did not 2 against it.
    """

    others: int = Field(default=4, ge=1, le=16)
    """Of how many acquaintances a trader is told, those first whom it regards most, well or ill."""

    forget_rounds: int = Field(default=10, ge=1, le=100_000)
    """After so many rounds each regard is one nearer to nothing."""

    judge_rounds: int = Field(default=1, ge=1, le=100)
    """After how many rounds a tip is held against the price."""


class GuestConfig(StrictModel):
    """An agent from outside: it takes seats among the traders and sends its decisions over HTTP or MCP."""

    name: str = Field(min_length=1, max_length=40, pattern=NAME)
    """What the guest is called; its traders have it as their mind."""

    seats: int = Field(default=1, ge=1, le=1_000)
    """How many traders it decides for; each takes one seat, numbered from 0."""

    token_env: str = Field(min_length=1, max_length=100, pattern=VARIABLE_NAME)
    """The environment variable that holds the guest's token, 256 bits as 64 hex digits or 43 characters of base64.
    `swarm guests --new` makes one."""

    max_seconds: float | None = Field(default=None, gt=0.0, le=3_600.0)
    """Most seconds of a round for which its decision is waited for; null: as long as models are."""


class TradersConfig(StrictModel):
    """The minds that decide for the traders, and how many neighbours each one hears."""

    minds: dict[str, int] = Field(default_factory=dict)
    """Weights by mind: a model's name, a desk's, or a baseline (`zi_c`, `zip`, `truthful`). Empty: all models and desks
    alike."""

    desks: tuple[DeskConfig, ...] = Field(default=(), max_length=32)
    """Kinds of traders that act with tools."""

    councils: tuple[CouncilConfig, ...] = Field(default=(), max_length=32)
    """Minds of several models that vote."""

    cascades: tuple[CascadeConfig, ...] = Field(default=(), max_length=32)
    """Minds of a small model and a large one, which is asked where it pays."""

    define: dict[str, dict[str, JsonValue]] = Field(default_factory=dict, max_length=32)
    """Minds of your own making, by name: `mind` says of which kind, the other keys are that kind's."""

    guests: tuple[GuestConfig, ...] = Field(default=(), max_length=1_000)
    """Agents from outside that take seats; all other traders are shared among `minds`."""

    hears: int | None = Field(default=None, ge=0, le=50)
    """How many other traders each trader hears, drawn once from the seed; null: three, or all others where there are
    fewer."""

    max_gossip_chars: int = Field(default=80, ge=0, le=400)
    """Longest line of gossip, in characters; a longer one is cut and counted."""

    router: RouterConfig | None = None
    """How messages are ranked and pruned on their way; null: traders hear every line of gossip of those they hear."""

    standing: StandingConfig = StandingConfig()
    """Orders that stand, so that not every trader has to think in every round."""

    staffing: dict[str, JsonValue] | None = Field(default=None, max_length=32)
    """Who of those that are due is asked, and at which model: `name` is `everybody`, `governor` (as many as the run's
    budget allows) or a plug-in's, the other keys are that one's; null: governor where the budget has a limit of the
    run, else everybody."""

    personas: dict[str, OneLine] = Field(default_factory=dict, max_length=256)
    """Words of your own for each kind of trader, say `squirrel`, or for one trader by its number, which stand in its
    prompts."""

    memory: MemoryConfig | None = None
    """What traders remember of one another, which stands in their prompts in one line, and the names of those whose
    lines they hear; null: nothing."""

    templates: dict[str, Template] = Field(default_factory=dict, max_length=32)
    """Texts in place of those that prompts are made of, or the name of a folder that has them as files: `menu.system`
    (`menu.system.txt`), `orders.system`, `judge.system`, with {setting} and {answer} in them, and `own`, with {own},
    {persona} and {memory}. What is read from a folder, seen from the config's own, is kept."""

    @property
    def own_minds(self) -> list[str]:
        """The names of the minds that this section defines."""
        listed: list[DeskConfig | CouncilConfig | CascadeConfig] = [*self.desks, *self.councils, *self.cascades]
        return [*(section.name for section in listed), *self.define]

    def contacts(self, traders: int) -> int:
        """Returns how many others each of `traders` hears."""
        return min(DEFAULT_CONTACTS, traders - 1) if self.hears is None else self.hears


class BudgetConfig(StrictModel):
    """The bounds of a turn, a round and a whole run; docs/budget.md says how a run that nears a bound degrades."""

    tokens_per_turn: int = Field(default=1_000, ge=100, le=100_000)
    """Most tokens of prompt and reply together."""

    round_deadline_s: float = Field(default=30.0, gt=0.0, le=3_600.0)
    """Seconds after which a round closes without the traders who have not decided."""

    run_tokens: int | None = Field(default=None, ge=1, le=10**15)
    """Most tokens of all prompts and replies of the run together; null: no limit."""

    run_usd: float | None = Field(default=None, gt=0.0, le=1e9)
    """Most US dollars that the run may cost by its models' prices; null: no limit."""

    seconds_per_round: float | None = Field(default=None, gt=0.0, le=3_600.0)
    """Seconds that the decisions of a round should take at most; null: only the deadline bounds them."""

    @property
    def governed(self) -> bool:
        """Tells whether anything bounds the run beyond its single turns and rounds."""
        return (self.run_tokens, self.run_usd, self.seconds_per_round) != (None, None, None)

    def part(self, parts: int) -> Self:
        """Returns one of `parts` equal parts of what the run may cost."""
        tokens = self.run_tokens and self.run_tokens // parts
        return self.model_copy(update={"run_tokens": tokens, "run_usd": self.run_usd and self.run_usd / parts})
