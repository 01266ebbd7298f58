"""What a user may choose from: models with favourites and prices, presets, prompts, tools and tool servers."""
