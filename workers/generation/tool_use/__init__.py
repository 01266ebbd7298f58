"""What requests to models with tools are made of: turns, limits, texts of results; and what the loop is handed in."""
