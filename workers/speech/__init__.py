"""One recording: recogniser, transcript, dictated turn."""
