"""What operators run: the checks of `doctor` and `health`, and the load test. Also garbage collector settings."""
