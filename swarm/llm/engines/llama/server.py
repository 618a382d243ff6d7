"""A model in llama.cpp, in this process: it is loaded, asked and let go here, and nowhere else is xllamacpp imported.

xllamacpp starts llama.cpp's HTTP server beside what it offers in process and cannot leave it out. So it listens on a
socket in a folder of this process's own, with a key that nobody knows. What a request means is not known here.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from swarm.errors import ModelError
from swarm.llm.engines.llama.check import EXTRA, Unusable, must_be_usable
from swarm.llm.engines.llama.config import LlamaModel
from swarm.llm.engines.llama.gguf import read_header
from swarm.llm.engines.llama.rewrite import rewritten

BATCH_TOKENS = 512
"""Tokens that are computed at once at most."""

Answer = Mapping[str, Any]


class LlamaServer:
    """One model with its slots; its methods block, and may be called from several threads at once.

    `kept_layers` is 0 where the model has all of its layers, and without some of them it can only judge.
    """

    def __init__(self, model: LlamaModel) -> None:
        self.kept_layers = 0
        self._folder = Path(tempfile.mkdtemp(prefix="swarm-llama-"))
        try:
            self._server, self.kept_layers = _started(model, self._folder / "http.sock")
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def chat(self, body: Answer) -> Answer:
        """Returns the answer to a whole chat, with the prompt that its template made under `__verbose`."""
        return self._answer(self._server.handle_chat_completions, {**body, "verbose": True})

    def stream_chat(self, body: Answer, hear: Callable[[Answer], bool]) -> None:
        """Hands each part of an answer to `hear` as it is written, until it returns True, which ends the writing."""
        self._server.handle_chat_completions({**body, "stream": True, "stream_options": {"include_usage": True}}, hear)

    def complete(self, body: Answer) -> Answer:
        """Returns what follows a prompt that is written out already."""
        return self._answer(self._server.handle_completions, body)

    def close(self) -> None:
        """Lets go of the model and its memory."""
        self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self, handle: Callable[[Answer], Any], body: Answer) -> Answer:
        found = handle(body)
        return found if isinstance(found, dict) else {"error": {"code": 500, "message": str(found)[:200]}}


def _started(model: LlamaModel, socket: Path) -> tuple[Any, int]:
    try:
        must_be_usable(model, 0, here=True)
        import xllamacpp

        adapter = model.adapter_file()
        kept_layers = read_header(adapter).kept_layers if adapter else 0
        file = rewritten(model.file(), kept_layers, model.eight_bits)
    except Unusable as error:
        raise ModelError(f"models: {model.name}: {error}") from None
    except ImportError as error:
        raise ModelError(
            f"models: {model.name}: llama.cpp cannot be imported ({error}); install it with `{EXTRA}`"
        ) from error
    except OSError as error:
        raise ModelError(
            f"models: {model.name}: the file that it computes with cannot be written ({error}); set SWARM_CACHE to a "
            "folder with room for it"
        ) from error
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(file)
    wanted.n_parallel = model.slots
    wanted.n_ctx = model.slots * model.context_tokens
    wanted.n_batch = wanted.n_ubatch = BATCH_TOKENS
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = model.threads
    wanted.use_jinja = True
    # Without shifting, a text that is too long fails instead of losing its beginning.
    wanted.ctx_shift = False
    # Nothing is said on the terminal, and nothing is kept beside what the slots hold.
    wanted.verbosity = -1
    wanted.warmup = wanted.ui = False
    wanted.cache_ram_mib = 0
    wanted.hostnames = [str(socket)]
    wanted.api_keys = [secrets.token_hex(32)]
    wanted.n_threads_http = 1
    if adapter:
        wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
    # Threads that compute inherit this one's niceness, and Ray's workers have a high one.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(os.getpriority(os.PRIO_PROCESS, 0), 0))
    try:
        return xllamacpp.Server(wanted), kept_layers
    except Exception as error:
        raise ModelError(
            f"models: {model.name}: llama.cpp cannot load {model.path} ({str(error).splitlines()[0][:120]}), "
            "whose architecture or format of weights it may not know; install a newer xllamacpp, or name another file"
        ) from error
