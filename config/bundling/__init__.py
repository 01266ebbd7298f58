"""Bundles of the pages' modules and style sheets, made when static files are collected (`storage.py`)."""
