"""Writes a trained network as an ONNX model: one temperament's two questions, put to the prompts of one round.

Inputs are `public`, int64 [lines, W], and `private`, int64 [prompts, rows, W]; the output `letters`, float32
[prompts, 2, 16], has the logits of the letters for the action and for what is said. Weights are kept in half precision
and computed with in single precision. The graph is written by hand: it is small, and no exporter's version shapes it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from swarm.llm.engines.embedded import tokenizer
from swarm.llm.engines.embedded.config import GRAPH
from swarm.llm.engines.embedded.tokenizer import TOKEN
from swarm.training.net import EPSILON, Net

OPSET = 17
_HIDDEN = -1e9


class _Graph:
    """Nodes and constants under construction; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node, and returns the name of its output, or the list of them."""
        names = [f"n{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def ints(self, *values: int) -> str:
        """Adds a vector of integers."""
        return self._constant("i" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """Adds a scalar."""
        return self._constant(f"f{value!r}", np.array(value, dtype=np.float32))

    def grid(self, name: str, values: np.ndarray) -> str:
        """Adds token ids."""
        return self._constant(name, values)

    def weight(self, name: str, values: np.ndarray) -> str:
        """Adds a weight, kept in half precision."""
        return str(self.op("Cast", self._constant(name, values.astype(np.float16)), to=TensorProto.FLOAT))

    def _constant(self, name: str, values: np.ndarray) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(values, name))
        return name


class _Layers:
    """The network's parts as nodes of a graph, in its shape and with its weights.

    x are the public lines [1, lines, d], y the private ones [prompts, rows, d], z the questions [prompts, 2, d].
    """

    def __init__(self, graph: _Graph, net: Net) -> None:
        self.g = graph
        self.weights = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
        self.width, self.heads = net.shape.width, net.shape.heads
        self.size = self.width // self.heads
        self.embedding = graph.weight("embedding", self.weights["embedding.weight"])
        self.patch = graph.weight("patch", self.weights["patch.weight"].T)
        self.bias = graph.weight("patch_bias", self.weights["patch.bias"])

    def lines(self, ids: str, shape: str) -> str:
        """Returns the vectors of lines of token ids, whose embeddings `shape` lays side by side."""
        flat = self.g.op("Reshape", self.g.op("Gather", self.embedding, ids), shape)
        return str(self.g.op("Add", self.g.op("MatMul", flat, self.patch), self.bias))

    def norm(self, x: str, name: str) -> str:
        """Returns x over its root mean square (Zhang and Sennrich 2019), times a weight."""
        g = self.g
        square = g.op("ReduceMean", g.op("Mul", x, x), axes=[-1], keepdims=1)
        scale = g.op("Sqrt", g.op("Add", square, g.number(EPSILON)))
        return str(g.op("Mul", g.op("Div", x, scale), g.weight(name, self.weights[name])))

    def projected(self, x: str, layer: int) -> list[str]:
        """Returns query, key and value of x, each [n, heads, lines, size]; the query is scaled."""
        normed = self.norm(x, f"blocks.{layer}.norm_1")
        name = f"blocks.{layer}.qkv.weight"
        projected = self.g.op("MatMul", normed, self.g.weight(name, self.weights[name].T))
        parts = self.g.op("Split", projected, outputs=3, axis=-1)
        query, key, value = (self._by_head(part) for part in parts)
        return [str(self.g.op("Mul", query, self.g.number(self.size**-0.5))), key, value]

    def scores(self, query: str, key: str) -> str:
        """Returns how much each line of `query` asks for each of `key`: [n, heads, lines, lines]."""
        return str(self.g.op("MatMul", query, self.g.op("Transpose", key, perm=[0, 1, 3, 2])))

    def fed(self, x: str, mixed: str, layer: int) -> str:
        """Returns x after what attention `mixed` and the gated feed-forward layer have been added to it."""
        g, weights = self.g, self.weights
        out, gate_up, down = (f"blocks.{layer}.{part}.weight" for part in ("out", "gate_up", "down"))
        joined = g.op("Reshape", g.op("Transpose", mixed, perm=[0, 2, 1, 3]), g.ints(0, 0, self.width))
        x = g.op("Add", x, g.op("MatMul", joined, g.weight(out, weights[out].T)))
        normed = self.norm(x, f"blocks.{layer}.norm_2")
        both = g.op("MatMul", normed, g.weight(gate_up, weights[gate_up].T))
        gate, up = g.op("Split", both, outputs=2, axis=-1)
        hidden = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
        return str(g.op("Add", x, g.op("MatMul", hidden, g.weight(down, weights[down].T))))

    def hidden(self, ids: str, shape: str) -> str:
        """Returns what to add to the scores of padding, so that it gets no share: [n, 1, 1, lines]."""
        g = self.g
        token = g.op("Squeeze", g.op("Slice", ids, g.ints(0), g.ints(1), g.ints(-1)), g.ints(-1))
        empty = g.op("Cast", g.op("Equal", token, g.ints(tokenizer.PAD)), to=TensorProto.FLOAT)
        return str(g.op("Reshape", g.op("Mul", empty, g.number(_HIDDEN)), shape))

    def answer(self, z: str) -> str:
        """Returns the logits of the letters alone."""
        first = tokenizer.FIRST_LETTER
        head = self.weights["head.weight"][first : first + len(tokenizer.LETTERS)]
        return str(self.g.op("MatMul", self.norm(z, "norm"), self.g.weight("head", head.T)))

    def _by_head(self, x: str) -> str:
        """Returns [n, heads, lines, size] of [n, lines, d]."""
        split = self.g.op("Reshape", x, self.g.ints(0, 0, self.heads, self.size))
        return str(self.g.op("Transpose", split, perm=[0, 2, 1, 3]))


def export(net: Net, temperament: str, path: Path, called: str = "") -> None:
    """Writes `net`, asked as `temperament`, to `path`; `called` is what it was schooled as, if something else."""
    g = _Graph()
    part = _Layers(g, net)
    # The first dimension of the input, since the number of prompts is not known here.
    prompts = g.op("Slice", g.op("Shape", "private"), g.ints(0), g.ints(1))
    asked = [[TOKEN[kind], TOKEN[temperament], *[tokenizer.PAD] * (tokenizer.WIDTH - 2)] for kind in ("<act>", "<say>")]
    x = part.lines("public", g.ints(1, -1, tokenizer.WIDTH * net.shape.token_width))
    y = part.lines("private", g.ints(0, 0, -1))
    z = part.lines(g.grid("questions", np.array([asked], dtype=np.int64)), g.ints(1, 2, -1))
    z = g.op("Expand", z, g.op("Concat", prompts, g.ints(2, net.shape.width), axis=0))
    each = g.op("Concat", prompts, g.ints(1, 1, 1), axis=0)
    hidden_x = part.hidden("public", g.ints(1, 1, 1, -1))
    shape_y = g.op("Concat", prompts, g.ints(1, 1, -1), axis=0)
    hidden_both = g.op("Concat", g.op("Expand", hidden_x, each), part.hidden("private", shape_y), axis=-1)
    for layer in range(net.shape.layers):
        query_x, key_x, value_x = part.projected(x, layer)
        query_y, key_y, value_y = part.projected(y, layer)
        query_z, key_z, value_z = part.projected(z, layer)
        # The public lines are computed once and lent to every prompt.
        keys = g.op("Concat", g.op("Expand", key_x, each), key_y, axis=2)
        values = g.op("Concat", g.op("Expand", value_x, each), value_y, axis=2)
        # A question attends to all lines and to itself, not to the other question.
        self_score = g.op("ReduceSum", g.op("Mul", query_z, key_z), g.ints(-1), keepdims=1)
        of_lines = g.op("Add", part.scores(query_z, keys), hidden_both)
        shares = g.op("Softmax", g.op("Concat", of_lines, self_score, axis=-1), axis=-1)
        shares_lines = g.op("Slice", shares, g.ints(0), g.ints(-1), g.ints(-1))
        shares_self = g.op("Slice", shares, g.ints(-1), g.ints(2**31), g.ints(-1))
        mixed = g.op("Add", g.op("MatMul", shares_lines, values), g.op("Mul", shares_self, value_z))
        z = part.fed(z, mixed, layer)
        # Behind the last layer, only the questions are read.
        if layer < net.shape.layers - 1:
            shares = g.op("Softmax", g.op("Add", part.scores(query_y, keys), hidden_both), axis=-1)
            y = part.fed(y, g.op("MatMul", shares, values), layer)
            shares = g.op("Softmax", g.op("Add", part.scores(query_x, key_x), hidden_x), axis=-1)
            x = part.fed(x, g.op("MatMul", shares, value_x), layer)
    g.nodes.append(helper.make_node("Identity", [part.answer(z)], ["letters"]))
    path.write_bytes(_serialised(g, called or temperament))


def _serialised(g: _Graph, called: str) -> bytes:
    """Returns the bytes of the finished graph as a model, which onnx has checked."""
    width = tokenizer.WIDTH
    graph = helper.make_graph(
        g.nodes,
        GRAPH.format(called),
        [
            helper.make_tensor_value_info("public", TensorProto.INT64, ["lines", width]),
            helper.make_tensor_value_info("private", TensorProto.INT64, ["prompts", "rows", width]),
        ],
        [helper.make_tensor_value_info("letters", TensorProto.FLOAT, ["prompts", 2, len(tokenizer.LETTERS)])],
        list(g.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="swarm train")
    # The oldest format that knows this set of operators, so that older runtimes read it.
    model.ir_version = 8
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised
