"""What the engine's prefix cache finds of the part that all prompts of a round share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.bench.engine import BLOCK_TOKENS, ROUNDS, WARM_UP_ROUNDS, Kept, config, missed_blocks
from swarm.llm.engines.vllm.config import VllmModel
from swarm.llm.engines.vllm.engine import VllmEngine
from swarm.runtime.play import play
from swarm.simulation.traders import LocalTraders, kept_open


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_all_prompts_share_is_computed_once(folders: dict[str, Path], say: Callable[[str], None]) -> None:
    run = config(folders["llama-3.2-3b"], "llama-3.2-3b")
    [model] = run.models
    assert isinstance(model, VllmModel)
    engine = VllmEngine(model)
    kept = Kept(engine)
    with kept_open([engine]) as runner:
        played = play(
            run,
            clients={"engine": kept},
            traders=lambda plan, _: LocalTraders(plan.shard, {"engine": kept}, runner.run),
        )
        missed = [missed_blocks(engine.tokens(b), r) for b, r in zip(kept.batches, kept.replies, strict=True)]
    assert len(missed) == WARM_UP_ROUNDS + ROUNDS
    cached = sum(r.usage.cached_prompt for batch in kept.replies for r in batch)
    prompts = sum(r.usage.prompt for batch in kept.replies for r in batch)
    say(f"{cached / prompts:.1%} of prompt tokens cached; blocks missed per request: {[round(m, 2) for m in missed]}")
    assert cached >= 10 * BLOCK_TOKENS * played.plan.run.traders, (
        "a cache that is never used would miss nothing of nothing"
    )
    assert max(missed) <= 2
