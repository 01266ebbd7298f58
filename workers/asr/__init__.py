"""Speech recognition: one small interface (`base`), a backend per file, and what they share."""
