"""Files that people attach to messages: how they are stored, who may see them, and what is known of them."""
