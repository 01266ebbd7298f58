"""From the web process to the workers: jobs, and which workers are alive."""
