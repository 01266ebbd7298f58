"""The counters of the layer: one set per event loop, summed by `StreamingChannelLayer.stats()`."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)
class LayerStats:
    """Counters since the process started, and four gauges."""

    published: int = 0  # publications and commands that Redis acknowledged
    publish_errors: int = 0  # refused, lost or timed out; raised to the caller
    received: int = 0  # publications received from Redis
    dispatched: int = 0  # messages put into a queue or passed to a sink
    dropped: int = 0  # messages lost to a full queue
    undecodable: int = 0  # publications that are not messages: another encryption key, another format
    sink_errors: int = 0  # exceptions raised by sinks
    resets: int = 0  # `layer.reset` messages to channels
    reconnects: int = 0  # subscriber connections reopened after a loss
    subscriptions: int = 0  # gauge: names subscribed at Redis
    channels: int = 0  # gauge: channels of this process
    groups: int = 0  # gauge: groups with a member in this process
    pending_bytes: int = 0  # gauge: published and not yet acknowledged

    def __add__(self, other: LayerStats) -> LayerStats:
        return LayerStats(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(LayerStats)}
        )
