"""Write a trained network as an ONNX model: one temperament's two questions, put to a batch of prompts of one round.

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
        """Add a node; the name of its output, or their list."""
        names = [f"n{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def ints(self, *values: int) -> str:
        """A vector of integers."""
        return self._constant("i" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """A scalar."""
        return self._constant(f"f{value!r}", np.array(value, dtype=np.float32))

    def grid(self, name: str, values: np.ndarray) -> str:
        """Token ids."""
        return self._constant(name, values)

    def weight(self, name: str, values: np.ndarray) -> str:
        """A weight, kept in half precision."""
        return str(self.op("Cast", self._constant(name, values.astype(np.float16)), to=TensorProto.FLOAT))

    def _constant(self, name: str, values: np.ndarray) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(values, name))
        return name


def export(net: Net, temperament: str, path: Path) -> None:
    """Write `net` as the model of `temperament` to `path`."""
    g = _Graph()
    weights = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    d, heads = net.shape.width, net.shape.heads
    size = d // heads
    embedding = g.weight("embedding", weights["embedding.weight"])
    patch = g.weight("patch", weights["patch.weight"].T)
    bias = g.weight("patch_bias", weights["patch.bias"])

    def lines(ids: str, shape: str) -> str:
        flat = g.op("Reshape", g.op("Gather", embedding, ids), shape)
        return str(g.op("Add", g.op("MatMul", flat, patch), bias))

    def norm(x: str, name: str) -> str:
        square = g.op("ReduceMean", g.op("Mul", x, x), axes=[-1], keepdims=1)
        scale = g.op("Sqrt", g.op("Add", square, g.number(EPSILON)))
        return str(g.op("Mul", g.op("Div", x, scale), g.weight(name, weights[name])))

    def heads_of(x: str) -> str:
        """[n, lines, d] to [n, heads, lines, size]."""
        return str(g.op("Transpose", g.op("Reshape", x, g.ints(0, 0, heads, size)), perm=[0, 2, 1, 3]))

    def projected(x: str, layer: int) -> list[str]:
        normed = norm(x, f"blocks.{layer}.norm_1")
        name = f"blocks.{layer}.qkv.weight"
        parts = g.op("Split", g.op("MatMul", normed, g.weight(name, weights[name].T)), outputs=3, axis=-1)
        query, key, value = (heads_of(p) for p in parts)
        return [str(g.op("Mul", query, g.number(size**-0.5))), key, value]

    def scores(query: str, key: str) -> str:
        return str(g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2])))

    def joined(x: str) -> str:
        return str(g.op("Reshape", g.op("Transpose", x, perm=[0, 2, 1, 3]), g.ints(0, 0, d)))

    def fed(x: str, mixed: str, layer: int) -> str:
        out, gate_up, down = (f"blocks.{layer}.{part}.weight" for part in ("out", "gate_up", "down"))
        x = g.op("Add", x, g.op("MatMul", mixed, g.weight(out, weights[out].T)))
        normed = norm(x, f"blocks.{layer}.norm_2")
        both = g.op("MatMul", normed, g.weight(gate_up, weights[gate_up].T))
        gate, up = g.op("Split", both, outputs=2, axis=-1)
        hidden = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
        return str(g.op("Add", x, g.op("MatMul", hidden, g.weight(down, weights[down].T))))

    def hidden(ids: str, first: str) -> str:
        """[n, 1, 1, lines]: what to add to the scores of padding."""
        token = g.op("Squeeze", g.op("Slice", ids, g.ints(0), g.ints(1), g.ints(-1)), g.ints(-1))
        empty = g.op("Cast", g.op("Equal", token, g.ints(tokenizer.PAD)), to=TensorProto.FLOAT)
        return str(g.op("Reshape", g.op("Mul", empty, g.number(_HIDDEN)), first))

    prompts = g.op("Slice", g.op("Shape", "private"), g.ints(0), g.ints(1))
    asked = [[TOKEN[kind], TOKEN[temperament], *[tokenizer.PAD] * (tokenizer.WIDTH - 2)] for kind in ("<act>", "<say>")]
    x = lines("public", g.ints(1, -1, tokenizer.WIDTH * net.shape.token_width))
    y = lines("private", g.ints(0, 0, -1))
    z = lines(g.grid("questions", np.array([asked], dtype=np.int64)), g.ints(1, 2, -1))
    z = g.op("Expand", z, g.op("Concat", prompts, g.ints(2, d), axis=0))
    each = g.op("Concat", prompts, g.ints(1, 1, 1), axis=0)
    hidden_x = hidden("public", g.ints(1, 1, 1, -1))
    shape_y = g.op("Concat", prompts, g.ints(1, 1, -1), axis=0)
    hidden_both = g.op("Concat", g.op("Expand", hidden_x, each), hidden("private", shape_y), axis=-1)
    for layer in range(net.shape.layers):
        last = layer == net.shape.layers - 1
        query_x, key_x, value_x = projected(x, layer)
        query_y, key_y, value_y = projected(y, layer)
        query_z, key_z, value_z = projected(z, layer)
        keys = g.op("Concat", g.op("Expand", key_x, each), key_y, axis=2)
        values = g.op("Concat", g.op("Expand", value_x, each), value_y, axis=2)
        self_score = g.op("ReduceSum", g.op("Mul", query_z, key_z), g.ints(-1), keepdims=1)
        of_lines = g.op("Add", scores(query_z, keys), hidden_both)
        shares = g.op("Softmax", g.op("Concat", of_lines, self_score, axis=-1), axis=-1)
        shares_lines = g.op("Slice", shares, g.ints(0), g.ints(-1), g.ints(-1))
        shares_self = g.op("Slice", shares, g.ints(-1), g.ints(2**31), g.ints(-1))
        mixed = g.op("Add", g.op("MatMul", shares_lines, values), g.op("Mul", shares_self, value_z))
        z = fed(z, joined(mixed), layer)
        if not last:
            shares = g.op("Softmax", g.op("Add", scores(query_y, keys), hidden_both), axis=-1)
            y = fed(y, joined(g.op("MatMul", shares, values)), layer)
            shares = g.op("Softmax", g.op("Add", scores(query_x, key_x), hidden_x), axis=-1)
            x = fed(x, joined(g.op("MatMul", shares, value_x)), layer)
    first = tokenizer.FIRST_LETTER
    head = weights["head.weight"][first : first + len(tokenizer.LETTERS)]
    answer = g.op("MatMul", norm(z, "norm"), g.weight("head", head.T))
    g.nodes.append(helper.make_node("Identity", [answer], ["letters"]))
    width = tokenizer.WIDTH
    graph = helper.make_graph(
        g.nodes,
        f"embedded-{temperament}",
        [
            helper.make_tensor_value_info("public", TensorProto.INT64, ["lines", width]),
            helper.make_tensor_value_info("private", TensorProto.INT64, ["prompts", "rows", width]),
        ],
        [helper.make_tensor_value_info("letters", TensorProto.FLOAT, ["prompts", 2, len(tokenizer.LETTERS)])],
        list(g.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="swarm train")
    model.ir_version = 8
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
