"""Makes the client of all models that the configuration lists: the model server first, then the upstreams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.inference.client import ModelClient
from bot.inference.key_proof import prove
from bot.inference.upstreams.upstream import Address, Upstream

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
    return ModelClient.over([*own, *map(make_upstream, upstreams)])


def make_upstream(section: UpstreamSection) -> Upstream:
    """Return an upstream by others."""
    address = Address(
        url=section.url,
        base=section.base,
        api_key=section.key,
        name=section.name,
        is_local=section.is_local,
        models=section.models,
        at_once=section.at_once,
        tokens_a_minute=section.tokens_a_minute,
        kind=section.kind,
        leave_out=frozenset(section.leave_out),
        system_turn=section.system_turn,
    )
    return Upstream(address)
