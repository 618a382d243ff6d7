"""How a council votes on a case: on the verdict, and among those who gave the one that won, on the line that shows it.

A vote is two letters: the verdict, A for who cannot tell, since that is what passes, and the line, A for none.
"""

from collections import Counter

from swarm.agents.decision import DecisionError
from swarm.agents.forms.menus import LETTERS
from swarm.agents.forms.protocol import FormPlugin, FormTerms
from swarm.agents.observation import Observation
from swarm.agents.votes import CouncilTurn, Count
from swarm.scenarios.contract.cases import Cases
from swarm.scenarios.contract.form import NAME, ReviewForm
from swarm.scenarios.contract.rules import CASE
from swarm.scenarios.contract.verdicts import CANT_TELL, NOWHERE, Opinion

VERDICTS = 5
MOST_SURE = 950
"""How sure a council is that agrees, in 1/1000: members err alike more often than they would by chance."""

_OVERSIGHT = "You oversee a council: answer E to veto a verdict that no line bears out, else your own."


class MemberReviewForm(ReviewForm):
    """Asks one member of a council about the same case."""

    def __init__(self, terms: FormTerms, cases: Cases, instruction: str) -> None:
        super().__init__(terms, cases)
        self._system = "\n".join(filter(None, (self._system, instruction)))

    def common(self, text: str, cut: bool, seen: Observation, row: int) -> str:
        """Returns an answer's verdict and line as a vote, or the kind of error it is."""
        read = self.read(text, cut, seen, row).outcome
        if isinstance(read, DecisionError):
            return str(read)
        return LETTERS[(read.verdict + 1) % VERDICTS] + LETTERS[1 + self._line(read, seen, row)]

    def _line(self, opinion: Opinion, seen: Observation, row: int) -> int:
        """Returns the number of the line that an opinion names or quotes from, -1 for none."""
        case = int(seen.private.columns[CASE][row])
        shown = self._cases.shown(case) if case >= 0 else ()
        if opinion.span in shown:
            return shown.index(opinion.span)
        text, quote = self._cases.document(case).text, " ".join(opinion.quote.split())
        lines = [" ".join(text[start:end].split()) for start, end in shown]
        return next((number for number, line in enumerate(lines) if quote and quote in line), -1)


class ReviewBallot:
    """Votes on the verdict of a case."""

    def __init__(self, terms: FormTerms, cases: Cases) -> None:
        self._terms, self._cases = terms, cases

    def member(self, stream: str, role: str) -> MemberReviewForm:
        """Returns the form of a member; who oversees is told what a veto is, all others the same."""
        return MemberReviewForm(self._terms, self._cases, _OVERSIGHT if role == "oversight" else "")

    def options(self, seen: Observation, row: int) -> int:
        """Returns how many verdicts there are."""
        return VERDICTS

    def stake_ticks(self, seen: Observation, row: int) -> int:
        """Returns the weight of the case's rule."""
        case = int(seen.private.columns[CASE][row])
        return int(self._cases.weight[case]) if case >= 0 else 0

    def outcome(self, turn: CouncilTurn, found: Count, seen: Observation, row: int) -> Opinion:
        """Returns the verdict that won, with the line that most who gave it name; how many did says how sure it is."""
        votes = [vote for one in turn.votes for vote in one if len(vote) == 2]
        agreeing = [vote for vote in votes if vote[0] == found.letters[0]]
        verdict = (LETTERS.index(found.letters[0]) - 1) % VERDICTS
        # A council that is overruled, or in doubt, has nothing to show.
        if not agreeing or verdict == CANT_TELL:
            return Opinion(CANT_TELL)
        lines = Counter(vote[1] for vote in agreeing if vote[1] != LETTERS[0]).most_common(1)
        case = int(seen.private.columns[CASE][row])
        shown = self._cases.shown(case) if case >= 0 else ()
        number = LETTERS.index(lines[0][0]) - 1 if lines else len(shown)
        span = shown[number] if number < len(shown) else NOWHERE
        return Opinion(verdict, span, min(1_000 * len(agreeing) // len(votes), MOST_SURE))

    def told(self, vote: str) -> str:
        """Returns a vote as an answer."""
        if len(vote) != 2:
            return vote
        verdict, line = (LETTERS.index(vote[0]) - 1) % VERDICTS, LETTERS.index(vote[1])
        return LETTERS[verdict] + (str(line) if line else "")


class VotedReviewForm(ReviewForm):
    """The form of a review, with its ballot."""

    def __init__(self, terms: FormTerms, cases: Cases) -> None:
        super().__init__(terms, cases)
        self._terms = terms

    def ballot(self) -> ReviewBallot:
        """Returns how a council votes in this form."""
        return ReviewBallot(self._terms, self._cases)


def form_of(cases: Cases) -> FormPlugin:
    """Returns the form in which a desk's cases are read."""

    def build(terms: FormTerms) -> VotedReviewForm:
        return VotedReviewForm(terms, cases)

    summary = "A letter for the verdict on a rule, and the number of the line that shows it."
    return FormPlugin(NAME, summary, build, ballot=True)
