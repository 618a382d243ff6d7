"""The section on desks: what their turns took, and how the last of them went, step by step."""

from swarm.report import aggregates, deciders, wording
from swarm.report.parts import SectionPlugin, Table
from swarm.report.wording import count, plain
from swarm.simulation.record import RunRecord

TRACES, TRACE_STEPS, TRACE_CHARS = 4, 10, 220
"""How many turns at desks are shown, how many steps of each, and how many characters of a text."""


def desks(record: RunRecord) -> tuple[Table, ...]:
    """Returns a table of what turns at desks took, and one of the last turns, step by step."""
    summary, errors = record.summary, aggregates.errors_by_mind(record)
    if not summary.get("desks"):
        return ()
    # A row per desk.
    taken = []
    for name, desk in summary["desks"].items():
        steps, tokens = desk["steps"], desk["tokens"]
        taken.append(
            (
                name,
                deciders.nature(summary, name),
                desk["model"],
                count(desk["turns"]),
                f"{steps['mean']:.1f}",
                f"{count(steps['max'])} of {count(steps['bound'])}",
                count(tokens["mean"]),
                f"{count(tokens['max'])} of {count(tokens['budget'])}",
                wording.listed(errors.get(name, {})),
                wording.listed(desk["faults"]),
            )
        )
    head = ("desk", "what it is", "model", "turns", "steps", "most", "tokens", "most", "turns lost", "faults of steps")
    # A row per step of the last few turns, which names its turn once.
    went = []
    for trace in aggregates.traces(record, TRACES):
        for step in trace[:TRACE_STEPS]:
            # A tool's answer is a heading and lines that begin with a bar; the reply beside it says which tool it was.
            result = step["result"].partition("\n")[2] or step["result"]
            who = (count(step["round"]), f"{step['desk']}, trader {step['trader']}") if step is trace[0] else ("", "")
            went.append(
                (
                    *who,
                    str(step["step"]),
                    wording.shortened(step["reply"], TRACE_CHARS),
                    wording.shortened(result.replace("\n| ", " / ").removeprefix("| "), TRACE_CHARS),
                    plain(step["fault"]) or "none",
                )
            )
    return (
        Table(
            "Turns at desks",
            "A turn is several calls of a model; its steps and the tokens of all of them have bounds of their own. A "
            "turn that does not come to its end is lost, and faults of single steps may have been mended.",
            head,
            tuple(taken),
            words=(0, 1, 2, 8, 9),
            by_mind=True,
        ),
        Table(
            "Traces of the last turns at desks",
            "Each step is what the model, or the policy in its place, wrote and what came back to it; the journal has "
            "all of them in full.",
            ("round", "desk", "step", "reply", "what came back", "fault"),
            tuple(went),
            words=(1, 3, 4, 5),
            empty="None: no desk has taken a turn.",
        ),
    )


SECTION = SectionPlugin("desks", "Desks", desks)
