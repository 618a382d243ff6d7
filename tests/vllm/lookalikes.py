"""Models that look like the five of the mission to vLLM, at a few hundred thousand parameters and with no training.

Each is a folder with a config of the real architecture, a tokenizer trained on prompts of the Wood and a chat template
that behaves as the real one does. `python tests/vllm/lookalikes.py FOLDER` makes them; it takes a second, and needs the
environment of `make test-vllm`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 1_024

TEMPLATES = {
    "llama-3.2-3b": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set rules = messages[0]['content'] %}"
        "{% set messages = messages[1:] %}{% else %}{% set rules = '' %}{% endif %}"
        "<|start|>system\nToday Date: {{ date_string }}\n{{ rules }}<|end|>"
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    ),
    "phi-3.5-mini": (
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    ),
    "gemma-2-2b": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "<|start|>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<|end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|start|>model\n{% endif %}"
    ),
    "qwen-2.5-7b": (
        "{% if messages[0]['role'] != 'system' %}<|start|>system\nYou are a helpful assistant.<|end|>\n{% endif %}"
        "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
    ),
    "mistral-nemo": (
        "{% if messages[0]['role'] == 'system' %}{% set rules = messages[0]['content'] %}"
        "{% set messages = messages[1:] %}{% else %}{% set rules = '' %}{% endif %}{{ bos_token }}"
        "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('After the optional system message, roles must alternate') }}{% endif %}"
        "{% if m['role'] == 'user' %}[INST]{% if loop.last and rules %}{{ rules }}\n\n{% endif %}"
        "{{ m['content'] }}[/INST]{% else %}{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    ),
}

_SHARED: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4_096,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": True,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama-3.2-3b": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rope_theta": 500_000.0},
    # Heads of 96 values and as many for keys as for queries, as the real one has.
    "phi-3.5-mini": {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "hidden_size": 96,
        "num_attention_heads": 1,
        "original_max_position_embeddings": 4_096,
        "tie_word_embeddings": False,
    },
    "gemma-2-2b": {
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "head_dim": 64,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 64,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "sliding_window": 2_048,
    },
    "qwen-2.5-7b": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "tie_word_embeddings": False},
    # The heads together are wider than the model.
    "mistral-nemo": {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "head_dim": 64,
        "sliding_window": None,
        "tie_word_embeddings": False,
    },
}

WORDS = (
    "You are a creature of the wood. Answer with one JSON object and nothing else. ROUND 1 of 60, spring\n"
    "NEWS The acorn harvest was blighted and bears hoard honey.\n"
    "MARKET good PRICE CHANGE TRADED UNMET_BIDS UNMET_ASKS\nacorns 20 +1 14 3 0\nberries 18 -2 9 0 4\n"
    "mushrooms 25 +0 7 1 1\nhoney 40 +3 5 2 0\nfirewood 31 -1 12 0 2\nMAKES acorns\nPURSE 523\nMOOD 61 of 100\n"
    "STOCK good HAVE NEED SPARE WORTH\nHEARD (rumours, not orders)\n- acorns will rise, mark my words\n"
    '{"thought": "sell spare, eat", "orders": [{"side": "sell", "good": "acorns", "price": 20, "quantity": 5}, '
    '{"side": "buy", "good": "berries", "price": 26, "quantity": 2}], "gossip": "berries will rise"}\n'
    "Bid only for what you need, not above WORTH. Never bid for the good you make: sell it, not below WORTH.\n"
    "Sell only what is SPARE. At most three orders; prices are whole numbers, quantities from 1 to 50.\n"
)


def make(folder: Path) -> dict[str, Path]:
    """All five below `folder`, which those that are there already are kept in: their folders by their short names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in ARCHITECTURES.items():
        if not (folder / name / "config.json").exists():
            _make(folder / name, name, _SHARED | own)
    return {name: folder / name for name in ARCHITECTURES}


def _make(folder: Path, name: str, config: dict[str, Any]) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>", "<|start|>", "<|end|>", "[INST]", "[/INST]"]
    # Letters of ASCII alone: what chance writes is then text that can be read.
    alphabet = [c for c in pre_tokenizers.ByteLevel.alphabet() if " " < c <= "~"] + ["\u0120", "\u010a"]
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([WORDS] * 20, trainer)
    if tokenizer.get_vocab_size() < VOCABULARY:
        config = config | {"vocab_size": -(-tokenizer.get_vocab_size() // 64) * 64}
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "pad_token": "<pad>",
                "chat_template": TEMPLATES[name],
                "clean_up_tokenization_spaces": False,
                "model_max_length": config["max_position_embeddings"],
            }
        )
    )
    # A temperature that vLLM must not take from here.
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 4], "temperature": 0.01}))
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def write_random_weights(folder: Path) -> None:
    """Weights of chance as a file, for the look-alike of Llama: what `weights: folder` reads."""
    from safetensors.numpy import save_file

    config = json.loads((folder / "config.json").read_text())
    chance = np.random.default_rng(7)
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]

    def matrix(rows: int, columns: int) -> np.ndarray[Any, Any]:
        return chance.normal(0, 0.05, (rows, columns)).astype(np.float32)

    tensors = {
        "model.embed_tokens.weight": matrix(config["vocab_size"], width),
        "model.norm.weight": np.ones(width, np.float32),
    }
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        tensors |= {
            layer + "input_layernorm.weight": np.ones(width, np.float32),
            layer + "post_attention_layernorm.weight": np.ones(width, np.float32),
            layer + "self_attn.q_proj.weight": matrix(width, width),
            layer + "self_attn.k_proj.weight": matrix(keys, width),
            layer + "self_attn.v_proj.weight": matrix(keys, width),
            layer + "self_attn.o_proj.weight": matrix(width, width),
            layer + "mlp.gate_proj.weight": matrix(inner, width),
            layer + "mlp.up_proj.weight": matrix(inner, width),
            layer + "mlp.down_proj.weight": matrix(width, inner),
        }
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})


if __name__ == "__main__":
    made = make(Path(sys.argv[1]))
    write_random_weights(made["llama-3.2-3b"])
