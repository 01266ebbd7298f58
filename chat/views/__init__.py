"""The pages of the chat and the HTTP calls they make."""
