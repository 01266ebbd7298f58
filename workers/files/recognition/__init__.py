"""Text in pictures (OCR): recognised by an optional package, in a process of its own."""
