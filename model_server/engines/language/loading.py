"""Opens a folder with a language model, and chooses the runner that computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig
from transformers.utils import logging as transformers_logging

from model_server.assembly import GGUF_FILE
from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.contract import Misconfigured
from model_server.engines.language.batching import TokenBudget
from model_server.engines.language.detokenize import TokenBytes
from model_server.engines.language.runners.architecture import unsupported_reason
from model_server.engines.language.runners.configuration import read_config
from model_server.engines.language.runners.packed import PackedRunner, RunnerUnavailable
from model_server.engines.language.runners.runner import Chunk
from model_server.engines.language.runners.solo_runner import SoloRunner
from model_server.engines.language.runners.torch_runner import TorchRunner, cache_bytes_per_token

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

    from model_server.engines.contract import EngineSpec
    from model_server.engines.language.runners.runner import Runner

FALLBACK_CONTEXT_TOKENS = 2048
"""The context of a model whose configuration does not name one."""
CPU_SLOTS, CPU_CONTEXT_TOKENS = 12, 4096
"""Defaults on a CPU. A slot takes memory only as far as it was ever filled; twelve full slots of the embedded model
take 1.5 GB together with its weights."""
CUDA_SLOTS = 32
CUDA_CACHE_SHARE = 0.85
"""The cache's share of the card's memory that is left after loading the weights; the rest is for computing steps."""
CUDA_MIN_CONTEXT_TOKENS = 4096
"""There are fewer slots rather than shorter ones than this."""
CPU_BUDGET = TokenBudget(with_decoding=256, without_decoding=512)
CUDA_BUDGET = TokenBudget(with_decoding=512, without_decoding=2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """An opened model. `size`: the number of token ids; `unused_ids`: those that stand for no token."""

    runner: Runner
    runner_description: str
    """The runner and why it was chosen, for the log."""
    can_reuse_prefixes: bool
    budget: TokenBudget
    tokenizer: PreTrainedTokenizerBase
    vocabulary: TokenBytes
    size: int
    unused_ids: torch.Tensor
    end_tokens: frozenset[int]


def load_model(spec: EngineSpec) -> LanguageModel:
    """Open the model in `spec.folder`, which blocks for seconds. Options: `slots` and `context` of the runner."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = str(spec.folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    config = read_config(spec.folder)
    vocabulary = TokenBytes(tokenizer)
    runner, why = _choose_runner(spec, config)
    runner.forward([Chunk(0, 0, (0,))])
    size = int(config.get_text_config().vocab_size)
    return LanguageModel(
        runner=runner,
        runner_description=f"{runner.description} ({why})" if why else runner.description,
        can_reuse_prefixes=not isinstance(runner, SoloRunner),
        budget=CUDA_BUDGET if pick_device(spec.device).type == "cuda" else CPU_BUDGET,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        size=size,
        unused_ids=torch.tensor(vocabulary.find_unused(size), dtype=torch.int64),
        end_tokens=find_end_tokens(folder, config, tokenizer),
    )


def find_end_tokens(folder: str, config: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return all tokens that end a text: a generation configuration may list several, a tokenizer has one."""
    try:
        listed = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except OSError:
        listed = None
    named = (listed, config.get_text_config().eos_token_id, tokenizer.eos_token_id)
    lists = [[one] if isinstance(one, int) else one or [] for one in named]
    return frozenset(token for tokens in lists for token in tokens)


def measure_free(spec: EngineSpec, device: torch.device) -> int:
    """Return the bytes that this process may still take of the card. Raises Misconfigured if its share is full."""
    free, total = torch.cuda.mem_get_info(device)
    own = int(total * spec.gpu_share) - torch.cuda.memory_reserved(device)
    if own <= 0:
        raise Misconfigured(f"The weights of {spec.name} fill its share of the graphics card; give it more `gpus`.")
    return min(free, own)


def fit_cache(free: int, per_token: int, slots: int | None, context: int) -> tuple[int, int]:
    """Return the number of slots and the tokens of each, for `free` bytes and `per_token` bytes of cache per token.

    `slots` None: as many as have CUDA_MIN_CONTEXT_TOKENS or the whole context each, at most CUDA_SLOTS.
    """
    tokens = int(free * CUDA_CACHE_SHARE) // per_token
    if slots is None:
        slots = max(1, min(CUDA_SLOTS, tokens // min(context, CUDA_MIN_CONTEXT_TOKENS)))
    return slots, min(context, tokens // slots)


def unpack_gguf(gguf: Path, dtype: torch.dtype, config: Any = None) -> Any:
    """Return transformers' model with the weights of a GGUF, unpacked from their blocks, which takes half a minute.

    `config` None: what transformers reads from the file, which lacks the factors of its rotary embedding.
    """
    return AutoModelForCausalLM.from_pretrained(
        str(gguf.parent),
        gguf_file=gguf.name,
        config=config,
        quantization_config=GgufConfig(dequantize=True),
        dtype=dtype,
        local_files_only=True,
    )


def _open_in_torch(folder: Path, dtype: torch.dtype, config: Any) -> Any:
    gguf = folder / GGUF_FILE
    if gguf.exists() and not any(folder.glob("*.safetensors")):
        return unpack_gguf(gguf, dtype, config)
    return AutoModelForCausalLM.from_pretrained(str(folder), config=config, dtype=dtype, local_files_only=True)


def _choose_runner(spec: EngineSpec, config: Any) -> tuple[Runner, str]:
    """Return the fastest runner that can run the model, and why it is not a faster one."""
    device = pick_device(spec.device)
    model_context = getattr(config.get_text_config(), "max_position_embeddings", None) or FALLBACK_CONTEXT_TOKENS
    context = min(
        model_context, int(spec.options.get("context", model_context if device.type == "cuda" else CPU_CONTEXT_TOKENS))
    )
    slots = int(spec.options.get("slots", CPU_SLOTS))
    why = ""
    if device.type == "cpu" and spec.dtype == "auto":
        try:
            return PackedRunner(spec.folder, slots, context, torch.get_num_threads()), ""
        except RunnerUnavailable as unavailable:
            why = str(unavailable)
    dtype = pick_dtype(spec.dtype, device)
    model = _open_in_torch(spec.folder, dtype, config).to(device).eval().requires_grad_(False)
    if reason := unsupported_reason(config):
        return SoloRunner(model, context=context), reason
    if device.type == "cuda":
        wanted = slots if "slots" in spec.options else None
        slots, context = fit_cache(measure_free(spec, device), cache_bytes_per_token(config, dtype), wanted, context)
    return TorchRunner(model, slots=slots, context=context), why
