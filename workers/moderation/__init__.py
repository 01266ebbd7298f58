"""Judges: models and services that are asked whether a text keeps to the site's rules (tier 2 of moderation).

`base` is the contract, `openai` and `chat_judge` keep it, `registry` makes them. `judge` is one judge with its circuit
breaker and timeout, `panel` all judges of a worker, `service` reads them from the database.
"""
