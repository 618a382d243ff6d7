"""An exported model as a network again, which can be trained on. Weights come back as exact as they were kept."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from swarm.errors import ConfigError
from swarm.llm.engines.embedded import tokenizer
from swarm.training.net import Net, Shape

_RENAMED = {"embedding": "embedding.weight", "head": "head.weight", "patch": "patch.weight", "patch_bias": "patch.bias"}
_AS_KEPT = ("embedding.weight", "patch.bias")


def network(path: Path) -> Net:
    """Returns the network of an exported model; of its head only the letters' rows, which are all that was kept.

    ConfigError where the file is no model of this shape.
    """
    net = Net(Shape())
    state = net.state_dict()
    try:
        kept = {c.name: numpy_helper.to_array(c) for c in onnx.load(str(path)).graph.initializer}
    except Exception as error:
        raise ConfigError(str(path), f"expected a model that swarm has exported ({type(error).__name__})") from error
    first = tokenizer.FIRST_LETTER
    state["head.weight"].zero_()
    for name, values in kept.items():
        target = _RENAMED.get(name, name)
        if target not in state:
            continue
        # Matrices were written the other way round, as a graph multiplies from the left.
        matrix = values.ndim == 2 and target not in _AS_KEPT
        tensor = torch.from_numpy(np.ascontiguousarray(values.T if matrix else values).astype(np.float32))
        into = state[target][first : first + len(tokenizer.LETTERS)] if target == "head.weight" else state[target]
        if into.shape != tensor.shape:
            raise ConfigError(str(path), f"expected {target} of shape {tuple(into.shape)}, got {tuple(tensor.shape)}")
        into.copy_(tensor)
    net.load_state_dict(state)
    return net
