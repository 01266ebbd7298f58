"""The vendors' official clients against the tests' servers. Run by `make asr-sdks`, in an environment of its own."""
