"""Creates the engine that a model of the catalogue needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_server.engines.contract import Engine, EngineSpec


def create(spec: EngineSpec) -> Engine:
    """Return the engine that `spec.engine` names. Imports torch, so that only worker processes call it."""
    match spec.engine:
        case "language":
            from model_server.engines.language.engine import LanguageEngine

            return LanguageEngine(spec)
        case "face":
            from model_server.engines.face import FaceEngine

            return FaceEngine(spec)
        case "duel":
            from model_server.engines.duel.engine import DuelEngine

            return DuelEngine(spec)
        case "embedding":
            from model_server.engines.embedding import EmbeddingEngine

            return EmbeddingEngine(spec)
        case "diffusion":
            from model_server.engines.diffusion import open_engine

            return open_engine(spec)
        case "moderation":
            from model_server.engines.moderation.engine import ModerationEngine

            return ModerationEngine(spec)
        case _:
            raise ValueError(
                f"There is no engine named {spec.engine!r}; "
                "there are language, diffusion, face, duel, embedding and moderation."
            )
