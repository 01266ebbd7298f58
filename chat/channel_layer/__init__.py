"""A Redis pub/sub channel layer for streams: `chat.channel_layer.StreamingChannelLayer`.

It knows nothing of this project: any Channels project can use it. See docs/channel-layer.md.
"""

from .layer import StreamingChannelLayer
from .stats import LayerStats

__all__ = ["LayerStats", "StreamingChannelLayer"]
