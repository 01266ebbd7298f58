"""Staff's dashboard (`home`: now, runs, usage) and usage page: their queries, and how the figures are drawn."""
