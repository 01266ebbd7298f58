"""What tells people of news: how far they have read, marks in their lists, and browser notifications."""
