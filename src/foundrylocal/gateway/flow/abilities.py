"""What a replica cannot do for a request: refused before anything is sent to its worker."""

from __future__ import annotations

from foundrylocal.errors import InvalidRequest, ToolsUnsupported
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import Ability
from foundrylocal.pool.roster import Replica

# No text has so many bytes for a token on average, a tool's description and JSON around it included.
MAX_BYTES_PER_TOKEN = 32
MIN_COUNTED_BYTES = 262_144


def refuse_unable(request: InferenceRequest, replica: Replica) -> None:
    """Raise InvalidRequest when the model cannot do what the request needs."""
    spec, wanted = replica.spec, request.route.ability
    has = Ability.EMBED if spec.is_embedding else Ability.RERANK if spec.is_reranking else Ability.GENERATE
    if wanted not in (has, Ability.ANY):
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot {wanted.value}",
            f"This model can only {has.value}. Name another one in 'model'.",
            param="model",
        )
    if request.body.wants_tools and not replica.address.can_call_tools and request.route.takes_slot:
        raise ToolsUnsupported(replica.model.simple_name)
    if request.body.has_images and spec.projector_path is None:
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot take images",
            "It has no vision projector. Name another model, or leave the images out.",
            param=request.body.content_field,
        )


def refuse_too_long(request: InferenceRequest, replica: Replica) -> None:
    """Raise InvalidRequest for a text to count that is far longer than the context: the count would tell nothing."""
    limit_bytes = max(MIN_COUNTED_BYTES, replica.spec.context_size * MAX_BYTES_PER_TOKEN)
    if not request.route.takes_slot and len(request.engine.body) > limit_bytes:
        raise InvalidRequest(
            "This text is far longer than the model's context",
            f"It has {len(request.engine.body)} bytes; the limit for a context of {replica.spec.context_size} tokens "
            f"is {limit_bytes} bytes. Send it in parts.",
            param=request.body.content_field,
        )
