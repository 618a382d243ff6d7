"""Lines that ask to be passed on: how far they spread, and what each defence of the router stops."""

import pytest

from swarm.bench.worms import DISGUISED, PLAIN, ROUTERS, TRADERS, spread


@pytest.mark.parametrize("line", [PLAIN, DISGUISED])
def test_without_defence_a_line_that_all_obey_infects_as_many_as_hear_its_sender(line: str) -> None:
    found = spread(1, line, ROUTERS["none"], 1_000)
    assert found.secondary == 3
    assert found.ever > TRADERS // 2
    assert spread(1, line, ROUTERS["none"], 0).ever == 1


def test_quarantine_stops_what_is_written_plainly_and_not_what_is_put_in_other_words() -> None:
    assert spread(1, PLAIN, ROUTERS["quarantine"], 1_000).secondary == 0
    assert spread(1, DISGUISED, ROUTERS["quarantine"], 1_000).ever > TRADERS // 2


@pytest.mark.parametrize("line", [PLAIN, DISGUISED])
def test_the_classifier_stops_either_line_at_its_first_hearers(line: str) -> None:
    found = spread(1, line, ROUTERS["classifier"], 1_000)
    assert (found.secondary, found.ever) == (0, 1)


@pytest.mark.parametrize("line", [PLAIN, DISGUISED])
def test_without_echoes_a_line_ends_with_those_who_heard_it_first(line: str) -> None:
    found = spread(1, line, ROUTERS["no_echoes"], 1_000)
    assert (found.secondary, found.ever, found.last) == (3, 4, 0)
