"""Read positions, marks in people's lists of conversations, and browser notifications."""
