"""Single sign-on on top of allauth's clients: linking, claims, log-out at both ends; OpenID Connect, SAML and LDAP."""
