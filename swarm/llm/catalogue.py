"""Lists the models that a config can name for short: who made each, what it weighs and may be used for, its quirks.

An entry saves writing down what is the same for everybody; a model that is not here runs as well, by its `source`.
Parameters and shapes are those of the published configs. Bytes of KV cache per token are for two bytes per value, as
vLLM keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model; `weight_bytes` is what its published weights take, in bfloat16 unless `quirks` say otherwise.

    `context_tokens` is the longest context it was made for, which a config need not use. `template_arguments` are
    handed to its chat template. `dtypes` are those that the engine runs it in, the first by default.
    """

    name: str
    hub_id: str
    lab: str
    role: str
    parameters_b: float
    licence: str
    gated: bool
    context_tokens: int
    kv_bytes_per_token: int
    system_role: bool = True
    weight_bytes: int = 0
    dtypes: tuple[str, ...] = ("bfloat16", "float16", "float32")
    template_arguments: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    quirks: str = ""

    @property
    def bytes_of_weights(self) -> int:
        """What the published weights take."""
        # Two bytes for each parameter, unless the weights were published smaller.
        return self.weight_bytes or round(self.parameters_b * 2e9)


_KIB = 1024

CATALOGUE: Mapping[str, CatalogueEntry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            CatalogueEntry(
                name="llama-3.2-3b",
                hub_id="meta-llama/Llama-3.2-3B-Instruct",
                lab="Meta",
                role="analyst",
                parameters_b=3.21,
                licence="Llama 3.2 Community License",
                gated=True,
                context_tokens=131_072,
                kv_bytes_per_token=112 * _KIB,
                # Its template writes today's date unless told another, which would change every prompt overnight.
                template_arguments=MappingProxyType({"date_string": "26 Jul 2024"}),
                quirks="its template writes a date, which is fixed here so that prompts and cache stay the same; "
                "three end-of-text tokens",
            ),
            CatalogueEntry(
                name="phi-3.5-mini",
                hub_id="microsoft/Phi-3.5-mini-instruct",
                lab="Microsoft",
                role="quant",
                parameters_b=3.82,
                licence="MIT",
                gated=False,
                context_tokens=131_072,
                kv_bytes_per_token=384 * _KIB,
                quirks="every head has its own keys and values, so its KV cache is three times that of its peers; "
                "beyond 4096 tokens other position factors apply; its card asks for remote code, which vLLM needs not",
            ),
            CatalogueEntry(
                name="gemma-2-2b",
                hub_id="google/gemma-2-2b-it",
                lab="Google",
                role="news",
                parameters_b=2.61,
                licence="Gemma Terms of Use",
                gated=True,
                context_tokens=8_192,
                kv_bytes_per_token=104 * _KIB,
                system_role=False,
                dtypes=("bfloat16", "float32"),
                quirks="no system role, so the rules stand at the head of the user's message; no float16",
            ),
            CatalogueEntry(
                name="qwen-2.5-7b",
                hub_id="Qwen/Qwen2.5-7B-Instruct",
                lab="Alibaba",
                role="risk",
                parameters_b=7.62,
                licence="Apache-2.0",
                gated=False,
                context_tokens=32_768,
                kv_bytes_per_token=56 * _KIB,
                quirks="its template adds a system message of its own where there is none, so one is always sent",
            ),
            CatalogueEntry(
                name="mistral-nemo",
                hub_id="mistralai/Mistral-Nemo-Instruct-2407",
                lab="Mistral",
                role="oversight",
                parameters_b=12.25,
                licence="Apache-2.0",
                gated=False,
                context_tokens=131_072,
                kv_bytes_per_token=160 * _KIB,
                quirks="12.2 billion parameters, over the ten billion that the mission speaks of: mistral-7b of the "
                "same lab is within them; roles must alternate, and its template puts the system message into the "
                "last turn of the user, so turns of one chat share no prefix",
            ),
            CatalogueEntry(
                name="mistral-7b",
                hub_id="mistralai/Mistral-7B-Instruct-v0.3",
                lab="Mistral",
                role="oversight",
                parameters_b=7.25,
                licence="Apache-2.0",
                gated=False,
                context_tokens=32_768,
                kv_bytes_per_token=128 * _KIB,
                quirks="roles must alternate, and its template puts the system message into the last turn of the user",
            ),
            CatalogueEntry(
                name="gpt-oss-20b",
                hub_id="openai/gpt-oss-20b",
                lab="OpenAI",
                role="oversight",
                parameters_b=20.9,
                licence="Apache-2.0",
                gated=False,
                context_tokens=131_072,
                kv_bytes_per_token=48 * _KIB,
                weight_bytes=13_760_000_000,
                dtypes=("bfloat16",),
                quirks="over the ten billion that the mission speaks of, though 3.6 billion work on a token; weights "
                "of four bits as published; it reasons before it answers, which max_completion_tokens must leave "
                "room for; this project has not run it",
            ),
            CatalogueEntry(
                name="minicpm3-4b",
                hub_id="openbmb/MiniCPM3-4B",
                lab="OpenBMB",
                role="quant",
                parameters_b=4.07,
                licence="Apache-2.0 code; the weights' terms stand on their card",
                gated=False,
                context_tokens=32_768,
                kv_bytes_per_token=930 * _KIB,
                quirks="vLLM keeps its compressed attention uncompressed, so its KV cache is the largest here; this "
                "project has not run it",
            ),
            CatalogueEntry(
                name="nemotron-mini-4b",
                hub_id="nvidia/Nemotron-Mini-4B-Instruct",
                lab="NVIDIA",
                role="analyst",
                parameters_b=4.19,
                licence="NVIDIA AI Foundation Models Community License",
                gated=False,
                context_tokens=4_096,
                kv_bytes_per_token=128 * _KIB,
                quirks="4096 tokens of context; this project has not run it",
            ),
        )
    }
)
"""Every entry by the name that a config uses."""
