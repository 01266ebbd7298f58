"""The tests' push service and browser agree with the standards' own examples, which none of our code has made."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes.push_service import PushBrowser, Request, decode, encode

# RFC 8291, section 5 and appendix A.
PRIVATE_KEY = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
PUBLIC_KEY = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH_SECRET = "BTBZMqHH6r4Tts7J_aSIgg"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
    "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
    "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
# RFC 8292, section 2.4.
VAPID = (
    "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3Njgs"
    "InN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNj"
    "jvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
)


def test_the_browser_reads_what_the_standard_encrypted() -> None:
    browser = PushBrowser(
        ec.derive_private_key(int.from_bytes(decode(PRIVATE_KEY)), ec.SECP256R1()), decode(AUTH_SECRET)
    )
    assert browser.p256dh == PUBLIC_KEY
    assert browser.decrypt(decode(BODY)) == b"When I grow up, I want to be a watermelon"


def test_the_service_accepts_the_token_of_the_standard_and_no_other() -> None:
    claims = {"aud": "https://push.example.net", "exp": 1453523768, "sub": "mailto:push@example.com"}
    assert Request("/", {"authorization": VAPID}, b"").claims() == claims
    forged = VAPID.replace(encode(b'{"aud":"https://push.example.net"'), encode(b'{"aud":"https://evil.example.net"'))
    assert forged != VAPID
    with pytest.raises(InvalidSignature):
        Request("/", {"authorization": forged}, b"").claims()
