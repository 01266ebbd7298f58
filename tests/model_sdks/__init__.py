"""The vendors' official clients against the tests' model servers. Run by `make model-sdks` with its own packages."""
