"""One run: context, model, emitter, end."""
