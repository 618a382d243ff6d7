"""Lists of tokens as one tree, and adapters as GGUF files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.llm.engines.llama.gguf import read_header
from swarm.training.tree import Tree

LISTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=6)


@given(LISTS)
def test_each_list_is_what_its_last_token_sees_in_order(lists: list[list[int]]) -> None:
    tree = Tree.of(lists)
    for one, end in zip(lists, tree.ends, strict=True):
        seen = np.flatnonzero(tree.sees[end]).tolist()
        assert [tree.tokens[i] for i in sorted(seen, key=lambda i: tree.depth[i])] == one


@given(LISTS)
def test_no_beginning_stands_twice(lists: list[list[int]]) -> None:
    beginnings = {tuple(one[: n + 1]) for one in lists for n in range(len(one))}
    assert len(Tree.of(lists).tokens) == len(beginnings)


def test_an_adapter_is_written_as_llama_cpp_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="comes with the extra `train`")
    from swarm.training.lora import write_adapter

    # Two heads of four numbers, whose halves become neighbours in the outer side alone.
    outer = np.arange(8, dtype=np.float32)[:, None]
    name = "base_model.model.model.layers.3.self_attn.q_proj.lora_{}.weight"
    tensors = {name.format("A"): np.ones((1, 4), dtype=np.float32), name.format("B"): outer}
    write_adapter(tmp_path / "a.gguf", tensors, 32, heads=2, key_heads=1, about={"license": "apache-2.0"})
    header = read_header(tmp_path / "a.gguf")
    assert header.is_adapter
    assert (len(header.tensors), header.licence) == (2, "apache-2.0")
    import gguf

    found = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors}
    assert found["blk.3.attn_q.weight.lora_b"].ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    # What is a Qwen turns its queries as transformers does.
    write_adapter(tmp_path / "q.gguf", tensors, 32, heads=2, key_heads=1, architecture="qwen2")
    assert read_header(tmp_path / "q.gguf").architecture == "qwen2"
    found = {t.name: t.data for t in gguf.GGUFReader(tmp_path / "q.gguf").tensors}
    assert found["blk.3.attn_q.weight.lora_b"].ravel().tolist() == list(range(8))
    with pytest.raises(ValueError, match="no tensor"):
        write_adapter(tmp_path / "b.gguf", {"lm_head.weight": outer}, 32, heads=2, key_heads=1)
    assert not (tmp_path / "b.gguf").exists()
