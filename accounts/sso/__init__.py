"""Single sign-on with OpenID Connect, on top of allauth's client: linking, claims, log-out at both ends."""
