"""Conversations as rows: members, lists, snapshots, branches, removal."""
