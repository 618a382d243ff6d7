"""Owns the network of the embedded models: a transformer over the lines of a prompt, each line one patch of tokens.

The tokens of a line are embedded, laid side by side and projected to one vector. The public lines attend to each other;
the private lines attend to the public ones and to each other; a question attends to all lines and to itself, and its
vector is read as the next token. Nothing tells a line's index, since its section, its good or its letter does. It
knows tokens, but no prompt and no teacher.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from swarm.llm.engines.embedded import tokenizer

EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the network."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    hidden: int = 320
    token_width: int = 32
    vocabulary: int = len(tokenizer.VOCABULARY)


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each behind a norm and beside a residual."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.width
        self.norm_1 = nn.Parameter(torch.ones(d))
        self.norm_2 = nn.Parameter(torch.ones(d))
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.gate_up = nn.Linear(d, 2 * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, d, bias=False)


class Net(nn.Module):
    """The network: token grids in, logits over the vocabulary at each question out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.token_width)
        self.patch = nn.Linear(tokenizer.WIDTH * shape.token_width, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.width))
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self._begin()

    def _begin(self) -> None:
        """Draws the first weights; numbers' embeddings are smooth functions of them, so that near ones lie near."""
        # What is added to a residual is smaller the more layers add to it, as in GPT-2.
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2 and "embedding" not in name:
                scale = 0.8 / math.sqrt(parameter.shape[1])
                if name.endswith(("out.weight", "down.weight")):
                    scale /= math.sqrt(2 * self.shape.layers)
                nn.init.normal_(parameter, 0.0, scale)
        weight = self.embedding.weight.data
        nn.init.normal_(weight, 0.0, 0.5)
        # Sines of a squeezed number tell apart both 2 from 3 and 200 from 300; four columns give sign, size and zero.
        numbers = np.array(tokenizer.NUMBERS, dtype=np.float64)
        features = np.zeros((len(numbers), self.shape.token_width))
        squeezed = np.arcsinh(numbers / 8)
        for i in range((self.shape.token_width - 4) // 2):
            wave = squeezed * 0.5 * 1.3**i
            features[:, 2 * i], features[:, 2 * i + 1] = np.sin(wave), np.cos(wave)
        features[:, -4] = squeezed / 2
        features[:, -3] = np.clip(numbers / 50, -3, 3)
        features[:, -2] = np.sign(numbers)
        features[:, -1] = numbers == 0
        first = tokenizer.FIRST_NUMBER
        weight[first : first + len(numbers)] = torch.from_numpy(features).float() * 0.7
        weight[tokenizer.PAD] = 0.0

    def forward(self, public: Tensor, private: Tensor, questions: Tensor) -> Tensor:
        """Returns logits [G, K, Q, vocabulary] for token ids [G, P, W], [G, K, R, W] and [G, K, Q, W].

        Each of G groups has one public part and K prompts with Q questions each.
        """
        groups, prompts, rows, _ = private.shape
        asked = questions.shape[2]
        lines = public.shape[1]
        n = groups * prompts
        d, heads = self.shape.width, self.shape.heads
        size = d // heads
        # x: public lines [G, P, d], computed once a group; y: private lines and questions [G * K, R + Q, d].
        x = self.patch(self.embedding(public).flatten(-2))
        y = self.patch(self.embedding(torch.cat([private, questions], 2)).flatten(-2)).view(n, rows + asked, d)
        hidden_x = (public[:, :, 0] == 0).float() * -1e9
        hidden_y = (private[..., 0] == 0).view(n, 1, 1, rows).float() * -1e9
        mask_x = hidden_x[:, None, None, :]
        # A question is seen by nobody but itself, so that any number can be asked of one prompt at once.
        apart = torch.zeros(rows + asked, asked) - 1e9
        apart[rows:] += torch.eye(asked) * 1e9
        for i, block in enumerate(self.blocks):
            last = i == len(self.blocks) - 1
            qkv_x = block.qkv(_norm(x, block.norm_1)).view(groups, lines, 3, heads, size).permute(2, 0, 3, 1, 4)
            qkv_y = block.qkv(_norm(y, block.norm_1)).view(n, rows + asked, 3, heads, size).permute(2, 0, 3, 1, 4)
            key_x = qkv_x[1].repeat_interleave(prompts, 0)
            value_x = qkv_x[2].repeat_interleave(prompts, 0)
            query, apart_here = qkv_y[0], apart
            # Only the questions are read in the end, so only they go through the last layer.
            if last:
                query, y, apart_here = query[:, :, rows:], y[:, rows:], apart[rows:]
            keys = torch.cat([key_x, qkv_y[1]], 2)
            values = torch.cat([value_x, qkv_y[2]], 2)
            mask = torch.cat(
                [
                    mask_x.repeat_interleave(prompts, 0).expand(n, 1, query.shape[2], lines),
                    hidden_y.expand(n, 1, query.shape[2], rows),
                    apart_here.expand(n, 1, query.shape[2], asked),
                ],
                3,
            )
            mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
            y = y + block.out(mixed.transpose(1, 2).reshape(n, -1, d))
            y = y + _fed(y, block)
            if not last:
                mixed = functional.scaled_dot_product_attention(
                    qkv_x[0], qkv_x[1], qkv_x[2], attn_mask=mask_x.expand(groups, 1, lines, lines)
                )
                x = x + block.out(mixed.transpose(1, 2).reshape(groups, lines, d))
                x = x + _fed(x, block)
        logits: Tensor = self.head(_norm(y, self.norm)).view(groups, prompts, asked, -1)
        return logits


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), weight, EPSILON)


def _fed(x: Tensor, block: Block) -> Tensor:
    gate, up = block.gate_up(_norm(x, block.norm_2)).chunk(2, -1)
    fed: Tensor = block.down(functional.silu(gate) * up)
    return fed
