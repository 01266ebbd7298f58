"""A Redis pub/sub channel layer for streams: `chat.layers.StreamingChannelLayer`.

It knows nothing of this project: any Channels project can use it. See docs/channel-layer.md.
"""

from .counters import LayerStats
from .layer import StreamingChannelLayer

__all__ = ["LayerStats", "StreamingChannelLayer"]
