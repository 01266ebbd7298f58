"""A Redis pub/sub channel layer for streams: `chat.channel_layer.StreamingChannelLayer`.

It imports nothing of this project, so any Channels project can use it. See docs/channel-layer.md.
"""

from .layer import StreamingChannelLayer
from .stats import LayerStats

__all__ = ["LayerStats", "StreamingChannelLayer"]
