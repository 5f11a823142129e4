"""C2PA manifests: signed statements in a picture about how it was made, which show whether it was changed since."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.provenance.metadata import AI_SOURCE, MAX_FACT_CHARACTERS, SOFTWARE, choose_facts, software_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from c2pa import Context

    from bot.provenance.certificates import Identity, Trust

ACTIONS, CREATED = "c2pa.actions.v2", "c2pa.created"
INTACT_STATES = frozenset({"Valid", "Trusted"})
TRUSTED, EXPIRED = "Trusted", "expired"
CREDENTIAL, AGED = "signingCredential.", ("expired", "untrusted")
"""How the library says that a certificate has expired: it is then trusted no longer, either."""
REMOTE = "Remote"
"""How the library begins to say that a file names an address at which its manifest is kept."""
OFFLINE: Mapping[str, Any] = {
    "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
"""A stranger's file must not have the library fetch anything, and a manifest needs no small copy of its picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a file's manifest says, and whether that holds.

    `is_intact` is false if file or manifest was changed after it was signed; then nothing else need be true. `is_own`
    is true if this bot signed it, `is_expired` if the certificate is not valid any more. All else, such as `signer`,
    the name in the certificate, is the word of whoever signed it. `is_ai` says that a trained model made the picture,
    `facts` with which settings.
    """

    is_intact: bool
    is_own: bool = False
    is_expired: bool = False
    signer: str = ""
    generator: str = ""
    is_ai: bool = False
    facts: Mapping[str, str]
    created: datetime | None = None


def sign(data: bytes, media_type: str, facts: Mapping[str, str], identity: Identity) -> bytes:
    """Return a picture with a manifest that a model made it now, with the settings in `facts`. Blocks."""
    import c2pa

    settings = dict(facts)
    agent = {"name": settings.pop("model", SOFTWARE)}
    action = {
        "action": CREATED,
        "when": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "softwareAgent": agent,
        "digitalSourceType": AI_SOURCE,
        **({"parameters": settings} if settings else {}),
    }
    definition = {
        "claim_generator_info": [{"name": SOFTWARE, **({"version": number} if (number := software_version()) else {})}],
        "format": media_type,
        "assertions": [{"label": ACTIONS, "created": True, "data": {"actions": [action]}}],
    }
    credentials = (identity.algorithm.encode(), "".join(identity.chain).encode(), identity.key.encode(), None)
    signed = io.BytesIO()
    with (
        _open_context() as context,
        c2pa.Signer.from_info(c2pa.C2paSignerInfo(*credentials)) as signer,
        c2pa.Builder.from_json(json.dumps(definition), context) as builder,
    ):
        builder.sign(signer, media_type, io.BytesIO(data), signed)
    return signed.getvalue()


def read_manifest(data: bytes, media_type: str, trust: Trust) -> Manifest | None:
    """Return the manifest of a file; None if it has none. Blocks."""
    import c2pa

    try:
        with _open_context(trust) as context, c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader:
            store, state = json.loads(reader.json()), reader.get_validation_state()
            active = reader.get_active_manifest()
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        return None
    except c2pa.C2paError as error:
        # One that is kept elsewhere, which is not fetched, is none of the file.
        return None if str(error).startswith(REMOTE) else Manifest(is_intact=False, facts={})
    return _describe(active or {}, _judge(store, state or ""), trust) if store else None


def _judge(store: Mapping[str, Any], state: str) -> str:
    """Return the state of a manifest: EXPIRED if nothing but the age of its certificate is wrong."""
    codes = {str(problem.get("code")) for problem in store.get("validation_status") or ()}
    return EXPIRED if f"{CREDENTIAL}expired" in codes and codes <= {f"{CREDENTIAL}{why}" for why in AGED} else state


def _open_context(trust: Trust | None = None) -> Context:
    import c2pa

    settings = dict(OFFLINE)
    if trust is not None:
        settings["trust"] = {"user_anchors": trust.root}
    return c2pa.Context.from_dict(settings)


def _describe(active: Mapping[str, Any], state: str, trust: Trust) -> Manifest:
    signature = active.get("signature_info") or {}
    serial = str(signature.get("cert_serial_number", ""))
    names = [_clean(signature.get(name)) for name in ("issuer", "common_name")]
    made = next(_find_created(active), {})
    agent = made.get("softwareAgent")
    model = agent.get("name") if isinstance(agent, dict) else agent
    settings = made.get("parameters")
    facts = {"model": model} if model and model != SOFTWARE else {}
    when = None
    with suppress(TypeError, ValueError):
        when = datetime.fromisoformat(made.get("when", ""))
    return Manifest(
        is_intact=state in {*INTACT_STATES, EXPIRED},
        is_expired=state == EXPIRED,
        is_own=state == TRUSTED and serial == str(trust.serial),
        signer=", ".join(filter(None, names)),
        generator=_describe_generator(active.get("claim_generator_info")),
        is_ai=made.get("digitalSourceType") == AI_SOURCE,
        facts=choose_facts((settings if isinstance(settings, dict) else {}) | facts),
        created=when,
    )


def _find_created(active: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in active.get("assertions") or ():
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in (assertion.get("data") or {}).get("actions") or ():
                if isinstance(action, dict) and action.get("action") == CREATED:
                    yield action


def _describe_generator(generators: object) -> str:
    first = generators[0] if isinstance(generators, list) and generators else {}
    return _clean(f"{first.get('name', '')} {first.get('version', '')}") if isinstance(first, dict) else ""


def _clean(text: object) -> str:
    return " ".join(str(text or "").split())[:MAX_FACT_CHARACTERS]
