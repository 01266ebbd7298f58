"""What operators run: the doctor, the load test; garbage collection settings."""
