"""Makes the client of all models that the configuration lists: the model server first, then the upstreams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.inference.client import ModelClient
from bot.inference.key_proof import prove
from bot.inference.upstreams.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.config.sections import ModelServerSection
    from bot.config.upstreams import UpstreamSection


def connect_all(
    model_server: ModelServerSection, upstreams: Sequence[UpstreamSection] = (), made_up_key: str = ""
) -> ModelClient:
    """Return the client of the model server, if it is enabled, and of the upstreams.

    `made_up_key` is the one that the model server gets if this bot starts it.
    """
    own = [prove(model_server, made_up_key)] if model_server.enabled else []
    return ModelClient.over([*own, *map(Upstream, upstreams)])
