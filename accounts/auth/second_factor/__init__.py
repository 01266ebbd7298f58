"""The second factor: who needs one, until when they may do without, and what allauth is told about codes and keys."""
