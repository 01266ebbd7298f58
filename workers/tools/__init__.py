"""Tools that models call: the contract, our own tools (`own`), web search (`search`), tool servers (`servers`).

The loop that runs them is `workers.generation.steps`.
"""
