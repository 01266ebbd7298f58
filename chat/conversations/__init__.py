"""Conversations as rows: members, lists with folders and tags, snapshots, branches, copies, ratings, removal."""
