"""An answer in steps: the model asks for calls of tools, gets their results, and goes on until it has answered."""
