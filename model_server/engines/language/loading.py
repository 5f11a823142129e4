"""Opens a folder with a language model, and chooses what computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.language.batching import TokenBudget
from model_server.engines.language.detokenize import TokenBytes
from model_server.engines.language.runners.packed import PackedRunner, Unavailable
from model_server.engines.language.runners.runner import Chunk
from model_server.engines.language.runners.solo_runner import SoloRunner
from model_server.engines.language.runners.torch_runner import TorchRunner, token_bytes, unsupported

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from model_server.engines.contract import EngineSpec
    from model_server.engines.language.runners.runner import Runner

CONTEXT = 2048
"""Tokens, for a model whose configuration does not say how many it reads."""
CPU_SLOTS, CPU_CONTEXT = 12, 4096
"""Unless the catalogue says otherwise. A slot takes memory only as far as it was ever filled; twelve full ones of the
embedded model, with its weights, take 1.5 GB."""
CUDA_SLOTS = 32
CUDA_SHARE = 0.85
"""Of the card's memory that is free once the weights are there, for the cache; the rest is for the steps."""
CUDA_LEAST_CONTEXT = 4096
"""Tokens; where slots would be shorter, there are fewer of them."""
CPU_BUDGET = TokenBudget(beside=256, alone=512)
CUDA_BUDGET = TokenBudget(beside=512, alone=2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """What the engine works with. `unused`: ids that stand for nothing; `size`: how many ids there are in all."""

    runner: Runner
    choice: str
    """What computes it and why, for the log."""
    reuse: bool
    """Whether a prompt may take over what a slot holds."""
    budget: TokenBudget
    tokenizer: PreTrainedTokenizerBase
    vocabulary: TokenBytes
    size: int
    unused: torch.Tensor
    ends: frozenset[int]


def load_model(spec: EngineSpec) -> LanguageModel:
    """Blocks for seconds. Options of `spec`: `slots` and `context`, both of the runner."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = str(spec.folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    vocabulary = TokenBytes(tokenizer)
    runner, why = _runner(spec, config)
    runner.forward([Chunk(0, 0, (0,))])
    size = int(config.get_text_config().vocab_size)
    return LanguageModel(
        runner=runner,
        choice=f"{runner.description} ({why})" if why else runner.description,
        reuse=not isinstance(runner, SoloRunner),
        budget=CUDA_BUDGET if pick_device(spec.device).type == "cuda" else CPU_BUDGET,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        size=size,
        unused=torch.tensor(vocabulary.unused(size), dtype=torch.int64),
        ends=end_tokens(folder, config, tokenizer),
    )


def end_tokens(folder: str, config: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All tokens that end a text; a generation configuration may list several, a tokenizer knows one."""
    try:
        listed = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    except OSError:
        listed = None
    named = (listed, config.get_text_config().eos_token_id, tokenizer.eos_token_id)
    lists = [[one] if isinstance(one, int) else one or [] for one in named]
    return frozenset(token for tokens in lists for token in tokens)


def fit_card(free: int, per_token: int, slots: int | None, context: int) -> tuple[int, int]:
    """Slots and the tokens of each, for a card with `free` bytes and a cache of `per_token` bytes for each token.

    `slots` None: as many as keep a slot as long as it should be, at most CUDA_SLOTS.
    """
    tokens = int(free * CUDA_SHARE) // per_token
    if slots is None:
        slots = max(1, min(CUDA_SLOTS, tokens // min(context, CUDA_LEAST_CONTEXT)))
    return slots, min(context, tokens // slots)


def _runner(spec: EngineSpec, config: Any) -> tuple[Runner, str]:
    """The fastest runner that takes the model, and why it is not a faster one."""
    device = pick_device(spec.device)
    own = getattr(config.get_text_config(), "max_position_embeddings", None) or CONTEXT
    context = min(own, int(spec.options.get("context", own if device.type == "cuda" else CPU_CONTEXT)))
    slots = int(spec.options.get("slots", CPU_SLOTS))
    why = ""
    if device.type == "cpu" and spec.dtype == "auto":
        try:
            return PackedRunner(spec.folder, slots, context, torch.get_num_threads()), ""
        except Unavailable as unavailable:
            why = str(unavailable)
    dtype = pick_dtype(spec.dtype, device)
    model: Any = AutoModelForCausalLM.from_pretrained(str(spec.folder), dtype=dtype, local_files_only=True)
    model = model.to(device).eval().requires_grad_(False)
    if alone := unsupported(config):
        return SoloRunner(model, context=context), alone
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        wanted = slots if "slots" in spec.options else None
        slots, context = fit_card(free, token_bytes(config, dtype), wanted, context)
    return TorchRunner(model, slots=slots, context=context), why
