"""What a user may choose from: offered models and presets."""
