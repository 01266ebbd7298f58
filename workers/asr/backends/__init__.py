"""The recognisers, one in each file."""
