"""The goals of the language benchmark, which depend on the model and on the instructions of the processor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageGoals:
    """Ratios to the better build of llama.cpp, to vLLM, and of the machine's bandwidth; memory in GB. None: no goal."""

    alone: float = 1.0
    share: float | None = None
    """The share of the bandwidth that one stream reaches, in per cent."""
    lessons: float | None = None
    together: float = 2.0
    wait: float = 1.0
    together_vllm: float | None = None
    memory_empty: float | None = None
    memory_full: float | None = None


LARGE, SMALL = "qwen2.5-coder-1.5b-instruct", "qwen2.5-coder-0.5b-instruct"
WITH_VNNI = {
    LARGE: LanguageGoals(
        alone=1.1,
        share=85,
        lessons=1.3,
        together=4.0,
        wait=0.5,
        together_vllm=2.5,
        memory_empty=1.7,
        memory_full=3.0,
    ),
    SMALL: LanguageGoals(alone=1.3, together=3.5, memory_full=1.6),
}
"""With AVX-512 VNNI."""
WITHOUT_VNNI = {
    LARGE: LanguageGoals(memory_empty=1.7, memory_full=3.0),
    SMALL: LanguageGoals(memory_full=1.6),
}
"""With AVX2 alone."""


def find_goals(model: str, *, vnni: bool) -> LanguageGoals:
    """Return the goals of a model; another one has the least that any should reach."""
    return (WITH_VNNI if vnni else WITHOUT_VNNI).get(model, LanguageGoals())
