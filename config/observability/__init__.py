"""Logging, and the sending of traces, for every process."""
