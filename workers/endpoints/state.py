"""What a worker sees of its endpoints, for its heartbeat."""

from __future__ import annotations

from chat.jobs.worker_heartbeats import EndpointState
from workers.providers.router import ModelRouter


def endpoint_states(router: ModelRouter) -> tuple[EndpointState, ...]:
    """Each endpoint of the router, in order."""
    return tuple(
        EndpointState(
            name=member.definition.name,
            place=member.definition.place,
            failure=member.failure.code if member.failure is not None else "",
            breaker=member.breaker.state,
            models=sum(offer["endpoint"] == member.definition.id for offer in router.catalog),
            answered_at=member.breaker.answered_at,
        )
        for member in router.members.values()
    )
