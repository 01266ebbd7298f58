"""Tools that models call: the contract, our own tools, tool servers, and the loop that runs them."""
