"""How much a user may use: plans, balances, reservations, settlement, reports."""
