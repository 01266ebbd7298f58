"""Refusals of SCIM requests, in the shape of RFC 7644 §3.12."""

from __future__ import annotations

from typing import Any, Final

SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimError(Exception):
    """A refusal. `kind` is the RFC's `scimType`, such as `uniqueness`."""

    def __init__(self, status: int, detail: str, kind: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind

    @property
    def body(self) -> dict[str, Any]:
        more = {"scimType": self.kind} if self.kind else {}
        return {"schemas": [SCHEMA], "status": str(self.status), "detail": self.detail, **more}


def invalid(detail: str, kind: str = "invalidValue") -> ScimError:
    return ScimError(400, detail, kind)


def not_found(kind: str, id_: str) -> ScimError:
    return ScimError(404, f"There is no {kind} with the id {id_[:64]}.")
