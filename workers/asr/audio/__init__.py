"""Audio before the recogniser: resampling, voice activity detection."""
