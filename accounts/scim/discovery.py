"""What the service says of itself (RFC 7643 §5 to §7)."""

from __future__ import annotations

from typing import Any, Final

from accounts.scim import groups, users

MOST: Final = 200  # resources of one answer to a list
_CORE: Final = "urn:ietf:params:scim:schemas:core:2.0:"


def service_provider_config(base: str) -> dict[str, Any]:
    off = {"supported": False}
    return {
        "schemas": [f"{_CORE}ServiceProviderConfig"],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": True},
        "bulk": {**off, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST},
        "changePassword": off,
        "sort": off,
        "etag": off,
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token that an administrator creates on the site: Users, SCIM tokens.",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[dict[str, Any]]:
    return [
        {
            "schemas": [f"{_CORE}ResourceType"],
            "id": name,
            "name": name,
            "endpoint": f"/{name}s",
            "schema": schema,
            "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{name}"},
        }
        for name, schema in (("User", users.SCHEMA), ("Group", groups.SCHEMA))
    ]


def schemas(base: str) -> list[dict[str, Any]]:
    parts = [_attribute("value"), _attribute("display", mutability="readOnly"), _attribute("type")]
    names = [_attribute(one) for one in ("formatted", "givenName", "familyName")]
    ref = _attribute("$ref", "reference", mutability="readOnly", referenceTypes=["User", "Group"])
    found = {
        users.SCHEMA: (
            "User",
            [
                _attribute("userName", required=True, uniqueness="server"),
                _attribute("displayName"),
                _attribute("name", "complex", subAttributes=names),
                _attribute("active", "boolean"),
                _attribute(
                    "emails", "complex", multiValued=True, mutability="readOnly",
                    subAttributes=[_attribute("value"), _attribute("type"), _attribute("primary", "boolean")],
                ),
                _attribute("groups", "complex", multiValued=True, mutability="readOnly", subAttributes=[*parts, ref]),
            ],
        ),
        groups.SCHEMA: (
            "Group",
            [
                _attribute("displayName", required=True, uniqueness="server"),
                _attribute("members", "complex", multiValued=True, subAttributes=[*parts, ref]),
            ],
        ),
    }  # fmt: skip
    return [
        {
            "schemas": [f"{_CORE}Schema"],
            "id": schema,
            "name": name,
            "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{schema}"},
        }
        for schema, (name, attributes) in found.items()
    ]


def _attribute(name: str, kind: str = "string", **changed: Any) -> dict[str, Any]:
    usual = {
        "name": name, "type": kind, "multiValued": False, "required": False, "caseExact": False,
        "mutability": "readWrite", "returned": "default", "uniqueness": "none", "description": name,
    }  # fmt: skip
    return {**usual, **changed}
