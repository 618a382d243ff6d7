"""Writes a trained network as an ONNX model: one temperament's two questions, put to the prompts of one round.

Inputs are `public`, int64 [lines, W], and `private`, int64 [prompts, rows, W]; the output `letters`, float32
[prompts, 2, 16], has the logits of the letters for the action and for what is said. Weights are kept in half precision
and computed with in single precision. The graph is written by hand: it is small, no exporter's version shapes it, and
nothing is computed that is not read and little is copied between products of matrices.
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
        self._weights: dict[str, str] = {}

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
        """Adds an array as it is, such as token ids."""
        return self._constant(name, values)

    def weight(self, name: str, values: np.ndarray) -> str:
        """Adds a weight, kept in half precision; one that was added before is the same."""
        if name not in self._weights:
            kept = self._constant(name, values.astype(np.float16))
            self._weights[name] = str(self.op("Cast", kept, to=TensorProto.FLOAT))
        return self._weights[name]

    def _constant(self, name: str, values: np.ndarray) -> str:
        self.constants.setdefault(name, numpy_helper.from_array(values, name))
        return name


class _Layers:
    """The network's parts as nodes of a graph, in its shape and with its weights.

    x are the public lines [lines, 1, d], y the private ones and behind them the questions [rows + 2, prompts, d]. Lines
    come first, since products of matrices for each prompt and head then find theirs by strides, and nothing is copied.
    """

    def __init__(self, graph: _Graph, net: Net) -> None:
        self.g = graph
        self.weights = {name: tensor.detach().numpy() for name, tensor in net.state_dict().items()}
        self.width, self.heads = net.shape.width, net.shape.heads
        self.size = self.width // self.heads
        self._parts: dict[str, list[str]] = {}
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
        # A power, not a product: onnxruntime knows this form by it and computes all of it at once.
        square = g.op("ReduceMean", g.op("Pow", x, g.number(2.0)), axes=[-1], keepdims=1)
        scale = g.op("Sqrt", g.op("Add", square, g.number(EPSILON)))
        return str(g.op("Mul", g.op("Div", x, scale), g.weight(name, self.weights[name])))

    def projected(self, normed: str, layer: int, which: str) -> list[str]:
        """Returns those of query, key and value that `which` names by letter, each [lines, n, d]."""
        # The weight is parted, which is done once, and not what comes of it, which would be copied each time.
        parts = dict(zip("qkv", self._parted(f"blocks.{layer}.qkv.weight", 3), strict=True))
        return [str(self.g.op("MatMul", normed, parts[letter])) for letter in which]

    def mixed(self, query: str, keys: str, values: str, hidden: str) -> str:
        """Returns the values mixed for each line of `query`: [lines, n, d]; `hidden` is added to scores."""
        g = self.g
        query, keys, values = (self._by_head(lines) for lines in (query, keys, values))
        # [n, heads, lines of the query, lines]
        scores = g.op("MatMul", query, g.op("Transpose", keys, perm=[0, 1, 3, 2]))
        scaled = g.op("Mul", scores, g.number(self.size**-0.5))
        mixed = g.op("MatMul", g.op("Softmax", g.op("Add", scaled, hidden), axis=-1), values)
        return str(g.op("Reshape", g.op("Transpose", mixed, perm=[2, 0, 1, 3]), g.ints(0, 0, self.width)))

    def fed(self, x: str, mixed: str, layer: int) -> str:
        """Returns x after what attention `mixed` and the gated feed-forward layer have been added to it."""
        g, weights = self.g, self.weights
        out, down = (f"blocks.{layer}.{part}.weight" for part in ("out", "down"))
        x = g.op("Add", x, g.op("MatMul", mixed, g.weight(out, weights[out].T)))
        normed = self.norm(x, f"blocks.{layer}.norm_2")
        gate, up = (g.op("MatMul", normed, w) for w in self._parted(f"blocks.{layer}.gate_up.weight", 2))
        hidden = g.op("Mul", g.op("Mul", gate, g.op("Sigmoid", gate)), up)
        return str(g.op("Add", x, g.op("MatMul", hidden, g.weight(down, weights[down].T))))

    def hidden(self, ids: str, shape: str) -> str:
        """Returns what to add to the scores of padding, so that it gets no share: [n, 1, 1, lines]."""
        g = self.g
        token = g.op("Slice", ids, g.ints(0), g.ints(1), g.ints(-1))
        empty = g.op("Cast", g.op("Equal", token, g.ints(tokenizer.PAD)), to=TensorProto.FLOAT)
        return str(g.op("Reshape", g.op("Mul", empty, g.number(_HIDDEN)), shape))

    def answer(self, z: str) -> str:
        """Returns the logits of the letters alone."""
        first = tokenizer.FIRST_LETTER
        head = self.weights["head.weight"][first : first + len(tokenizer.LETTERS)]
        return str(self.g.op("MatMul", self.norm(z, "norm"), self.g.weight("head", head.T)))

    def _parted(self, name: str, parts: int) -> list[str]:
        """Returns the transposed weight in so many parts of its columns."""
        if name not in self._parts:
            weight = self.g.weight(name, self.weights[name].T)
            self._parts[name] = self.g.op("Split", weight, outputs=parts, axis=-1)
        return self._parts[name]

    def _by_head(self, x: str) -> str:
        """Returns [n, heads, lines, size] of [lines, n, d]."""
        split = self.g.op("Reshape", x, self.g.ints(0, 0, self.heads, self.size))
        return str(self.g.op("Transpose", split, perm=[1, 2, 0, 3]))


def export(net: Net, temperament: str, path: Path, called: str = "") -> None:
    """Writes `net`, asked as `temperament`, to `path`; `called` is what it was schooled as, if something else."""
    g = _Graph()
    part = _Layers(g, net)
    # The first dimensions of the input, since neither number is known here.
    prompts, rows = (g.op("Slice", g.op("Shape", "private"), g.ints(i), g.ints(i + 1)) for i in range(2))
    each = g.op("Concat", g.ints(1), prompts, g.ints(1), axis=0)
    asked = [[TOKEN[kind], TOKEN[temperament], *[tokenizer.PAD] * (tokenizer.WIDTH - 2)] for kind in ("<act>", "<say>")]
    questions = g.grid("questions", np.array([asked], dtype=np.int64))
    posed = g.op("Expand", questions, g.op("Concat", prompts, g.ints(1, 1), axis=0))
    x = part.lines("public", g.ints(-1, 1, tokenizer.WIDTH * net.shape.token_width))
    y = part.lines(g.op("Transpose", g.op("Concat", "private", posed, axis=1), perm=[1, 0, 2]), g.ints(0, 0, -1))
    hidden_x = part.hidden("public", g.ints(1, 1, 1, -1))
    hidden_y, hidden_questions = _hidden(part, hidden_x, prompts, rows)
    for layer in range(net.shape.layers):
        # Behind the last layer, only the questions are read.
        last = layer == net.shape.layers - 1
        normed_x, normed_y = (part.norm(lines, f"blocks.{layer}.norm_1") for lines in (x, y))
        *query_x, key_x, value_x = part.projected(normed_x, layer, "kv" if last else "qkv")
        *query_y, key_y, value_y = part.projected(normed_y, layer, "kv" if last else "qkv")
        # The public lines are computed once and lent to every prompt.
        keys = g.op("Concat", g.op("Expand", key_x, each), key_y, axis=0)
        values = g.op("Concat", g.op("Expand", value_x, each), value_y, axis=0)
        if last:
            z, normed_z = (g.op("Slice", lines, g.ints(-2), g.ints(2**31), g.ints(0)) for lines in (y, normed_y))
            (query_z,) = part.projected(normed_z, layer, "q")
            y = part.fed(z, part.mixed(query_z, keys, values, hidden_questions), layer)
        else:
            y = part.fed(y, part.mixed(query_y[0], keys, values, hidden_y), layer)
            x = part.fed(x, part.mixed(query_x[0], key_x, value_x, hidden_x), layer)
    g.nodes.append(helper.make_node("Identity", [part.answer(g.op("Transpose", y, perm=[1, 0, 2]))], ["letters"]))
    path.write_bytes(_serialised(g, called or temperament))


def _hidden(part: _Layers, hidden_x: str, prompts: str, rows: str) -> tuple[str, str]:
    """Returns what to add to scores so that nobody sees padding, nor a question that is another's.

    The first is of all lines of a prompt, [prompts, 1, rows + 2, lines + rows + 2], the second of its questions alone.
    """
    g = part.g
    each = g.op("Concat", prompts, g.ints(1, 1, 1), axis=0)
    own = part.hidden("private", g.op("Concat", prompts, g.ints(1, 1, -1), axis=0))
    lines = g.op("Concat", g.op("Expand", hidden_x, each), own, axis=-1)
    of_questions = g.op("Expand", lines, g.op("Concat", prompts, g.ints(1, 2, 1), axis=0))
    of_rows = g.op("Expand", lines, g.op("Concat", prompts, g.ints(1), rows, g.ints(1), axis=0))
    # A question attends to all lines and to itself, and no line to a question.
    apart = g.grid("apart", np.array([[[[0, _HIDDEN], [_HIDDEN, 0]]]], dtype=np.float32))
    of_questions = g.op("Concat", of_questions, g.op("Expand", apart, each), axis=-1)
    unseen = g.op("Expand", g.number(_HIDDEN), g.op("Concat", prompts, g.ints(1), rows, g.ints(2), axis=0))
    of_rows = g.op("Concat", of_rows, unseen, axis=-1)
    return str(g.op("Concat", of_rows, of_questions, axis=2)), str(of_questions)


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
