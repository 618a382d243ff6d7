"""A model that Ray Serve cannot bring up ends the wait for all of them, and is named."""

from pathlib import Path

import pytest

from swarm.config import RuntimeConfig
from swarm.errors import ClusterError
from swarm.llm.engines.embedded.config import EmbeddedModel
from tests.patience import patience

pytestmark = [pytest.mark.ray, pytest.mark.apart]


def test_a_model_that_cannot_be_loaded_is_named_with_what_became_of_it(tmp_path: Path) -> None:
    from swarm.runtime import serving
    from swarm.runtime.cluster import own_cluster

    broken = EmbeddedModel(name="broken", engine="embedded", path=tmp_path)
    broken.weights.write_bytes(b"no weights")
    sound = EmbeddedModel(name="sound", engine="embedded", temperament="value")
    with (
        own_cluster(RuntimeConfig(num_cpus=2)),
        pytest.raises(ClusterError, match=r"^models: broken is not up after \d+ s \(DEPLOY_FAILED: .*broken"),
    ):
        serving.deploy("test", (sound, broken), patience(120), lambda: False)
