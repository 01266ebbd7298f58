"""Review of moderation cases: queue, decisions, appeals, reports, strikes, and what people read of their own cases."""
