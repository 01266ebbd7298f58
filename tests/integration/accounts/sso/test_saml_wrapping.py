"""Responses of SAML in which something forged stands beside what is signed."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from django.test import Client
from lxml import etree

from accounts.models import User
from tests.fixtures.saml_provider import NS, response
from tests.integration.accounts.sso.saml import Idp, person
from tests.integration.accounts.sso.test_log_in import user_of

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
ANA = person("Ana@example.org", displayName="Ana Novak")


@pytest.mark.parametrize("kind", ["beside", "after", "in the signature", "around", "whole"])
@pytest.mark.parametrize("signs", ["assertion", "response"])
def test_of_what_is_wrapped_around_a_signed_part(
    kind: str,
    signs: str,
    saml: Idp,
    client: Client,
    settings: Any,
) -> None:
    """XML signature wrapping: the signed part is there and valid, and another one says who it is."""
    settings.SIGN_UP = "open"
    asked = saml.ask(client)
    document = wrap(response(saml.keys, asked, ANA, signs=signs), kind)
    answer = saml.answer(client, document)
    assert answer.status_code == 403, answer
    assert user_of(client) is None
    assert not User.objects.exists()


def wrap(document: Any, kind: str) -> Any:
    """The document with a forged assertion of "n-evil" that is not signed, and the signed part somewhere else."""
    signed = document.find("saml:Assertion", NS)
    forged = deepcopy(signed)
    forged.find(".//saml:NameID", NS).text = "n-evil"
    for signature in forged.findall("ds:Signature", NS):
        forged.remove(signature)
    if kind == "beside":
        forged.set("ID", "forged")
        signed.addprevious(forged)
    elif kind == "after":
        forged.set("ID", "forged")
        signed.addnext(forged)
    elif kind == "in the signature":
        signature = document.find(".//ds:Signature", NS)
        box = etree.SubElement(signature, f"{{{NS['ds']}}}Object")
        document.replace(signed, forged)
        box.append(signed if signature.getparent() is document else deepcopy(signed))
        if signature.getparent() is not document:
            forged.insert(1, signature)
    elif kind == "around":
        document.replace(signed, forged)
        forged.append(signed)
    else:  # the whole signed response inside a forged one
        outer = deepcopy(document)
        for signature in outer.findall(".//ds:Signature", NS):
            signature.getparent().remove(signature)
        outer.find(".//saml:NameID", NS).text = "n-evil"
        outer.set("ID", "outer")
        extensions = etree.Element(f"{{{NS['samlp']}}}Extensions")
        extensions.append(document)
        outer.insert(1, extensions)
        return outer
    return document
