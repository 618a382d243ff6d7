"""The wordings of news that the tiny reader is schooled on, and others that it is examined on and never sees before.

The wordings that runs draw from (`swarm.scenarios.supply_chain.news`) are in neither: whatever the reader does in a
run, it does with sentences that it was not taught. A wording has a region, a size and a round to be filled in, or some
of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wordings:
    """Sentences by what follows of them: more or less demand for good, nothing, a rush or a closed day of one round."""

    more: tuple[str, ...]
    less: tuple[str, ...]
    nothing: tuple[str, ...]
    rush: tuple[str, ...]
    closed: tuple[str, ...]


OPENINGS = (
    "",
    "",
    "",
    "Word has it: ",
    "From the harbour: ",
    "Our agent writes: ",
    "It is official: ",
    "Heard today: ",
)
ENDINGS = (
    " from round {round} on.",
    " as of round {round}.",
    ", beginning in round {round}.",
    " starting with round {round}.",
    " in round {round} and after.",
    ".",
)
"""What sentences begin and end with, drawn by lot."""

TAUGHT = Wordings(
    # Pairs of more and less have words in common, so that the direction alone tells them apart.
    more=(
        "demand on the {region} will rise by {size}",
        "demand in the {region} grows by {size}",
        "buyers on the {region} will ask for {size} more",
        "shops of the {region} need {size} more stock",
        "we expect {size} more sales on the {region}",
        "orders from the {region} are going up by {size}",
        "consumption on the {region} climbs {size}",
        "a new railway brings {size} more visitors to the {region}",
        "a factory moves to the {region}, and with it {size} more customers",
        "the army camps on the {region} and buys {size} more",
        "people on the {region} earn more and will spend {size} more in shops",
        "the {region} gains customers: an increase of {size}",
        "an increase of {size} in trade is foreseen for the {region}",
        "sales on the {region} jump by {size}",
        "the market of the {region} expands by {size}",
        "tourists come to the {region}, turnover there is to rise {size}",
        "the competitor on the {region} gives up; its buyers, {size} of ours on top, come to us",
        "the {region} has a fair, and its stores want {size} more of everything",
        "settlers arrive on the {region}: retailers there count on {size} more buyers",
        "a tax on goods in the {region} is lifted, so customers will take {size} more",
        "the {region} booms and asks for {size} extra",
        "{size} more will be bought on the {region}, the guild believes",
        "higher demand on the {region}: plus {size}",
        "the newspaper of the {region} foretells growth of {size} in what shops sell",
        "sales up {size} on the {region}, says the board",
        "the {region} opens a bridge that lets {size} more shoppers in",
    ),
    less=(
        "demand on the {region} will fall by {size}",
        "demand in the {region} shrinks by {size}",
        "buyers on the {region} will ask for {size} less",
        "shops of the {region} need {size} less stock",
        "we expect {size} fewer sales on the {region}",
        "orders from the {region} are going down by {size}",
        "consumption on the {region} drops {size}",
        "the railway to the {region} is given up, {size} fewer visitors will come",
        "a factory leaves the {region}, and with it {size} of the customers",
        "the army leaves the {region}, which will buy {size} less",
        "people on the {region} earn less and will spend {size} less in shops",
        "the {region} loses customers: a decrease of {size}",
        "a decrease of {size} in trade is foreseen for the {region}",
        "sales on the {region} slump by {size}",
        "the market of the {region} contracts by {size}",
        "tourists stay away from the {region}, turnover there is to fall {size}",
        "a competitor on the {region} opens its doors and takes {size} of the buyers away",
        "the {region} has its fair no longer, and its stores want {size} less of everything",
        "settlers move away from the {region}: retailers there count on {size} fewer buyers",
        "a tax on goods in the {region} is raised, so customers will take {size} less",
        "the {region} is in a slump and cuts its orders by {size}",
        "{size} less will be bought on the {region}, the guild believes",
        "lower demand on the {region}: minus {size}",
        "the newspaper of the {region} foretells a loss of {size} in what shops sell",
        "sales down {size} on the {region}, says the board",
        "old stores on the {region} will lose {size} of their shoppers",
    ),
    # Sizes, rises and falls of what no shop sells: who looks for figures alone is wrong here.
    nothing=(
        "the bridge toll of the {region} rises by {size}",
        "the river on the {region} has fallen by {size}",
        "the council of the {region} has {size} more members",
        "a painter shows {size} of his pictures on the {region}",
        "the school of the {region} has {size} fewer pupils",
        "the choir of the {region} sings again",
        "it snows on the {region}",
        "the {region} elects a judge",
        "the clock of the {region} runs {size} slower",
        "the lamps on the {region} burn {size} longer",
        "a poet of the {region} has died",
        "the forest on the {region} grew by {size} in ten years",
        "the mill on the {region} has a new wheel",
        "a horse race on the {region} ended without a winner",
        "the {region} has planted trees along its road",
        "the bishop visits the {region}",
        "wages of clerks on the {region} go up by {size}",
        "the wind on the {region} is {size} weaker than last year",
        "a dog was found on the {region}",
        "the theatre of the {region} sold {size} of its seats",
    ),
    # What is over after a round moves no plan: hurry, or order nothing.
    rush=(
        "a one day rush: in round {round} alone customers on the {region} will want all they can get",
        "for this round only shops on the {region} will be stormed; have goods at once",
        "a wedding on the {region}, for a single round stores there will run short, hurry",
        "in this round alone the {region} needs goods at once, afterwards nothing changes",
        "stores on the {region} will be out of goods by the next round unless they hurry; later all is as usual",
        "a ship with guests lies off the {region} for one round only; be quick with deliveries",
    ),
    closed=(
        "all shops on the {region} stay shut in this round alone",
        "a holiday: for one round only nobody buys on the {region}",
        "stores on the {region} close for a single round, afterwards nothing changes",
        "in round {round} alone the {region} mourns and its doors stay shut",
        "no shop of the {region} opens in this round; later all is as usual",
        "for this round only there is no trade on the {region}",
    ),
)

EXAMINED = Wordings(
    # Whole sentences, since nothing is put before or behind them.
    more=(
        "The inn keepers of the {region} speak of {size} more guests at their tables from round {round} on.",
        "Trade on the {region} picks up: {size} more is wanted as of round {round}.",
        "A college opens its gates on the {region}; grocers there will sell {size} more from round {round} on.",
        "From round {round} on the households of the {region} will need {size} more than now.",
        "The {region} sees a rise of {size} in its purchases from round {round} on.",
        "A new harbour raises what the {region} consumes by {size} as of round {round}.",
    ),
    less=(
        "The inn keepers of the {region} speak of {size} fewer guests at their tables from round {round} on.",
        "Trade on the {region} slows: {size} less is wanted as of round {round}.",
        "The college on the {region} closes; grocers there will sell {size} less from round {round} on.",
        "From round {round} on the households of the {region} will need {size} less than now.",
        "The {region} sees a fall of {size} in its purchases from round {round} on.",
        "A flooded harbour lowers what the {region} consumes by {size} as of round {round}.",
    ),
    nothing=(
        "The tower on the {region} will be {size} higher than the old one.",
        "Mosquitoes on the {region} are {size} fewer than last summer.",
        "A band plays on the {region} tonight.",
        "The postman of the {region} has retired.",
        "Cats on the {region} sleep {size} longer in winter.",
        "A stone bench was set up on the {region}.",
    ),
    rush=(
        "In round {round} alone a regiment passes through the {region} and buys what there is; hurry.",
        "For a single round the {region} will be short of goods; have them at once.",
        "A market day on the {region}, this round only: stores run short, afterwards nothing changes.",
    ),
    closed=(
        "In round {round} alone every store of the {region} stays shut.",
        "For a single round nobody on the {region} buys anything; afterwards nothing changes.",
        "A strike, this round only: there is no trade on the {region}.",
    ),
)
