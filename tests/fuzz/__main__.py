"""`python -m tests.fuzz --seconds 60 --seed 1`: simulate seed after seed; one that fails prints itself and replays."""

import argparse
import logging
import secrets
import sys
import time
import traceback
from collections import Counter

from tests.fuzz.simulator import FAULTS, simulate


def main() -> int:
    """Simulate until the time is over or a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="the first seed; drawn afresh where none is given")
    parser.add_argument("--runs", type=int, default=None, help="how many seeds at most")
    options = parser.parse_args()
    # Each damaged snapshot is a warning, and there are many.
    logging.disable(logging.WARNING)
    first = secrets.randbelow(2**31) if options.seed is None else options.seed
    fired: Counter[str] = Counter()
    lives = late = runs = 0
    started = time.monotonic()
    while time.monotonic() - started < options.seconds and (options.runs is None or runs < options.runs):
        seed = first + runs
        try:
            result = simulate(seed)
        except Exception:
            traceback.print_exc()
            sys.stderr.write(f"\nseed {seed} fails; again: make fuzz RUNS=1 SEED={seed}\n")
            return 1
        runs += 1
        lives += result.lives
        late += bool(result.late)
        fired.update(result.fired)
    took = time.monotonic() - started
    sys.stdout.write(
        f"{runs} simulations from seed {first} in {took:.0f} s, {lives - runs} times killed and resumed, "
        f"{late} with late traders; all properties hold\n"
    )
    for fault, times in sorted(fired.items()):
        sys.stdout.write(f"  {times:8,} {fault}\n")
    never = [fault for fault in FAULTS if not fired[fault]]
    if never:
        sys.stdout.write(f"  never: {', '.join(never)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
