"""Tells what a model's config means to vLLM: the arguments of its engine and the environment of its process.

The values for a CPU were run; those for a GPU follow vLLM's documentation. This module imports nothing of vLLM.
"""

from typing import Any

from swarm.llm.engines.vllm.config import VllmModel

CPU_KV_CACHE_BYTES = 128 * 2**20

WORKER_EXTENSION = "swarm.llm.engines.vllm.worker.EndsWithItsParent"

CPU_BLOCK_TOKENS = 32
"""The smallest block of the KV cache that vLLM's attention for CPUs takes; a prefix is cached in whole blocks."""


def engine_arguments(model: VllmModel) -> dict[str, Any]:
    """Returns the keyword arguments of vLLM's `AsyncEngineArgs`."""
    hardware = model.hardware
    arguments: dict[str, Any] = {
        "model": model.model_source,
        "served_model_name": model.name,
        "revision": model.revision,
        "load_format": "dummy" if model.weights == "dummy" else "auto",
        # Mistral's own tokenizer would take over otherwise, which knows no chat templates.
        "tokenizer_mode": "hf",
        "trust_remote_code": model.trust_remote_code,
        "max_model_len": model.max_model_len,
        "max_num_seqs": model.max_num_seqs,
        "quantization": model.quantization,
        "kv_cache_dtype": model.kv_cache_dtype,
        "kv_cache_memory_bytes": model.kv_cache_bytes,
        "enable_prefix_caching": True,
        # Else temperature and penalties come from the model's files, different for each model.
        "generation_config": "vllm",
        # A model of chance, and sometimes a real one, writes white space until its limit if the grammar allows it.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        "distributed_executor_backend": "uni",
        "worker_extension_cls": WORKER_EXTENSION,
        "enable_log_requests": False,
        "disable_log_stats": True,
    }
    if hardware.kind == "cpu":
        return arguments | {
            "dtype": "float32" if model.dtype == "auto" else model.dtype,
            "block_size": CPU_BLOCK_TOKENS,
            "kv_cache_memory_bytes": model.kv_cache_bytes or CPU_KV_CACHE_BYTES,
            # Compiling takes longer than most runs on a CPU do.
            "enforce_eager": True,
            # With a seed, a prompt that is computed in two parts ends vLLM's engine on a CPU (seen in 0.29).
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(8_192, model.max_model_len),
        }
    arguments |= {
        "dtype": model.entry.dtypes[0] if model.entry and model.dtype == "auto" else model.dtype,
        "gpu_memory_utilization": hardware.memory_share,
    }
    if hardware.num_gpus > 1:
        arguments |= {"tensor_parallel_size": int(hardware.num_gpus), "distributed_executor_backend": "mp"}
    return arguments


def environment(model: VllmModel) -> dict[str, str]:
    """Returns what must be in the environment before vLLM is imported."""
    variables = {
        # Without this every engine takes all cores, and several engines wait for each other.
        "OMP_NUM_THREADS": str(model.hardware.threads),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_LOGGING_LEVEL": "WARNING",
        # Nobody is told that this engine runs.
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    if model.hardware.kind == "cpu":
        # Else vLLM puts a third process between the engine and the model on a CPU.
        variables["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if model.weights != "hub":
        variables |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return variables
