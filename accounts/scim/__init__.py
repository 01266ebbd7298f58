"""SCIM 2.0 (RFC 7643, RFC 7644): directories create, change and deactivate users and groups. Nothing is deleted."""
