"""What the layer counts. One set per event loop, added up by `StreamingChannelLayer.stats()`."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class LayerStats:
    """Counters since the process began, and four gauges of the moment."""

    published: int = 0  # publications and commands that Redis acknowledged
    publish_errors: int = 0  # refused, lost or timed out; the caller got the exception
    received: int = 0  # publications that arrived
    dispatched: int = 0  # messages put into a queue or given to a sink
    dropped: int = 0  # messages lost to a full queue
    undecodable: int = 0  # publications that are no message: a foreign key, another format
    sink_errors: int = 0  # exceptions raised by sinks
    resets: int = 0  # `layer.reset` handed to a channel
    reconnects: int = 0  # subscriber connections opened again after a loss
    subscriptions: int = 0  # gauge: names subscribed at Redis
    channels: int = 0  # gauge: local channels
    groups: int = 0  # gauge: groups with a local member
    pending_bytes: int = 0  # gauge: published, not yet acknowledged

    def __add__(self, other: LayerStats) -> LayerStats:
        return LayerStats(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(LayerStats)}
        )
