"""The recognisers, one a file."""
