"""What is measured of conversations: metrics, traces, latency marks."""
