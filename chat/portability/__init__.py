"""Export and import of conversations, and the files of other systems."""
