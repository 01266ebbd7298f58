"""Worker processes: they run models and speech recognition."""
