"""Model APIs behind one contract (`base`): router, circuit breaker, failover, discovery."""
