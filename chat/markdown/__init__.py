"""Answers' Markdown as sanitised HTML, made in processes of its own.

`rendering` does the work and runs in a child process (`child`), which `pool` starts, limits, kills and restarts.
`plain` is what everything else may use: text without formatting. Importing this package loads no parser.
"""
