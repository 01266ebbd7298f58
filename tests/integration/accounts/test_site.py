"""The site's settings: the admin's form, what pages show of them, the logo, and the terms."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts import site as site_module
from accounts.models import AuditEntry, SiteSettings, TermsAcceptance, User
from accounts.site import VERSION_KEY, site
from tests.conftest import PASSWORD, make_user
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

PAGE = "/admin/accounts/sitesettings/"
FORM = {
    "name": "", "accent": "", "accent_dark": "", "banner": "", "banner_kind": "news", "welcome": "",
    "starter_lines": "", "terms": "", "terms_version": "1", "link_lines": "",
}  # fmt: skip


def png(width: int = 32, height: int = 16) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\x33\x66\x99" * width for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def _read_again() -> Iterator[None]:
    site_module._known = None
    yield
    site_module._known = None


@pytest.fixture
def root() -> Client:
    return logged_in(User.objects.create_superuser("root@example.org", PASSWORD))


def save(root: Client, **fields: Any) -> str:
    """What is wrong; empty: it was saved."""
    response = root.post(PAGE, FORM | fields)
    if response.status_code == 302:
        return ""
    return " ".join(re.findall(r'<li[^>]*>([^<]+)</li>|class="[^"]*errorlist[^"]*"', response.content.decode()))


def test_what_is_set_is_shown(alice: User, root: Client) -> None:
    page = logged_in(alice)
    assert "What’s on your mind?" in page.get("/").content.decode()
    wrong = save(
        root, name="Chorus", accent="#7a1f5c", banner="Down on <b>Sunday</b>", welcome="Ask the chorus",
        starter_lines="One\n\n Two  words ", link_lines="Privacy | https://example.org/privacy\nImprint | /imprint",
    )  # fmt: skip
    assert not wrong
    html = page.get("/").content.decode()
    assert "Ask the chorus" in html
    assert "<title>Chorus</title>" in html
    assert "Down on &lt;b&gt;Sunday" in html
    assert re.search(r"<span>One</span>.*<span>Two words</span>", html, re.DOTALL)
    assert re.search(r'<style nonce="[^"]+">:root\{--accent:light-dark\(#7a1f5c,#[0-9a-f]{6}\);', html)
    login = Client().get("/accounts/login/").content.decode()
    for text in ('href="https://example.org/privacy"', 'href="/imprint"', "Down on", "Log in · Chorus"):
        assert text in login
    assert page.get("/manifest.webmanifest").json()["name"] == "Chorus"
    assert AuditEntry.objects.filter(verb="change", object_type="accounts.sitesettings").exists()


def test_every_process_reads_it_again(alice: User, root: Client, settings: Any) -> None:
    """Another process learns it from the key in Redis; without a new version nothing is read."""
    assert site().name == "Antiphon"
    known = site_module._known
    assert known is not None
    save(root, name="Chorus")
    site_module._known = site_module._Known(known.site, known.version, known.asked_at)  # as in another process
    assert site().name == "Antiphon", "asked of late"
    site_module._known = site_module._Known(known.site, known.version, known.asked_at - 2)
    assert site().name == "Chorus"
    SiteSettings.objects.update(name="Unannounced")
    assert site_module._known is not None
    read = site_module._known
    site_module._known = site_module._Known(read.site, read.version, read.asked_at - 2)
    assert site().name == "Chorus"
    assert site_module._version() is not None
    assert VERSION_KEY == "site:version"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"accent": "#9db7ff"}, "In the light theme its contrast is"),
        ({"accent": "blue"}, "a colour such as"),
        ({"accent": "#3a4fa3", "accent_dark": "#3a4fa3"}, "In the dark theme its contrast is"),
        ({"accent_dark": "#aab8f2"}, "for the light theme, too"),
        ({"starter_lines": "\n".join("abcdefghi")}, "At most 8 starters"),
        ({"starter_lines": "x" * 301}, "at most 300 characters"),
        ({"link_lines": "Privacy"}, "is not a title"),
        ({"link_lines": "Privacy | javascript:alert(1)"}, "is not a title"),
        ({"link_lines": "Privacy | //evil.example"}, "is not a title"),
        ({"link_lines": "\n".join(f"{n} | /x" for n in range(7))}, "At most 6 links"),
        ({"logo_file": SimpleUploadedFile("x.svg", b"<svg onload='alert(1)'/>")}, "no PNG, JPEG or WebP"),
        ({"logo_file": SimpleUploadedFile("x.png", b"GIF89a")}, "no PNG, JPEG or WebP"),
        ({"logo_file": SimpleUploadedFile("x.png", png(3000, 1))}, "3000 × 1 pixels"),
        ({"logo_file": SimpleUploadedFile("x.png", png() + b"0" * 2**18)}, "too large"),
    ],
)  # fmt: skip
def test_what_is_refused(root: Client, fields: dict[str, Any], why: str) -> None:
    response = root.post(PAGE, FORM | fields)
    assert response.status_code == 200
    assert why in response.content.decode()
    assert not SiteSettings.objects.exclude(accent="", accent_dark="", starters=[], logo=None).exists()


def test_the_logo_is_served_as_an_image_and_nothing_else(root: Client) -> None:
    assert root.get("/site/logo/0000000000000000").status_code == 404
    assert 'name="remove_logo"' not in root.get(PAGE).content.decode(), "there is none"
    assert not save(root, logo_file=SimpleUploadedFile("logo.png", png()))
    html = Client().get("/accounts/login/").content.decode()
    [address] = set(re.findall(r'src="(/site/logo/[0-9a-f]{16})"', html))
    answer = Client().get(address)
    assert (answer.status_code, answer.content) == (200, png())
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "immutable" in answer["Cache-Control"]
    assert not save(root, name="Chorus"), "the logo stays"
    assert address in Client().get("/accounts/login/").content.decode()
    assert 'name="remove_logo"' in root.get(PAGE).content.decode()
    assert not save(root, remove_logo="on")
    assert "/site/logo/" not in Client().get("/accounts/login/").content.decode()


def test_only_those_with_the_permission(alice: User, root: Client) -> None:
    alice.is_staff = True
    alice.save()
    assert logged_in(alice).get(PAGE).status_code == 403
    assert logged_in(alice).post(PAGE, FORM | {"name": "Mine"}).status_code == 403
    assert root.get(f"{PAGE}add/").status_code == 403
    assert root.get(f"{PAGE}1/delete/").status_code == 403
    assert not SiteSettings.objects.exclude(name="").exists()


# --- terms ------------------------------------------------------------------------------------------------------------
HTML = {"headers": {"accept": "text/html"}}


def test_terms_are_asked_once_and_again_for_a_new_version(alice: User, root: Client) -> None:
    page = logged_in(alice)
    assert page.get("/", **HTML).status_code == 200  # type: ignore[arg-type]
    save(root, terms="Be kind.\n\n<script>x</script>")
    asked = page.get("/?temporary", **HTML)  # type: ignore[arg-type]
    assert asked["Location"] == "/accounts/terms/accept/?next=%2F%3Ftemporary"
    html = page.get(asked["Location"]).content.decode()
    assert "<p>Be kind.</p>" in html
    assert "<script>x" not in html
    refused = page.post("/ws/ticket/")
    assert (refused.status_code, refused.json()["code"]) == (403, "terms")
    assert page.get("/conversations/export/").status_code == 200, "one's data can be had"
    assert page.post(asked["Location"], {"version": "2"}).status_code == 200, "another version than was read"
    done = page.post(asked["Location"], {"version": "1", "next": "/?temporary"})
    assert done["Location"] == "/?temporary"
    assert page.get("/", **HTML).status_code == 200  # type: ignore[arg-type]
    [row] = TermsAcceptance.objects.filter(user=alice)
    assert (row.version, row.ip) == (1, "127.0.0.1")
    assert AuditEntry.objects.filter(verb="accept_terms", details="version 1", actor=alice).count() == 1
    assert logged_in(alice).get("/", **HTML).status_code == 200, "not again in another browser"  # type: ignore[arg-type]

    assert not save(root, terms="Be kinder.", terms_version="2")
    assert page.get("/", **HTML).status_code == 302  # type: ignore[arg-type]
    assert page.post("/accounts/terms/accept/", {"version": "2", "next": "https://evil.example/"})["Location"] == "/"
    assert sorted(TermsAcceptance.objects.values_list("version", flat=True)) == [1, 2]
    assert "has been asked for already" in root.post(PAGE, FORM | {"terms": "x", "terms_version": "1"}).content.decode()
    save(root, terms="", terms_version="2")
    assert logged_in(make_user("Carol")).get("/", **HTML).status_code == 200  # type: ignore[arg-type]


def test_staff_can_always_correct_them(root: Client) -> None:
    save(root, terms="Be kind.")
    assert root.get(PAGE, **HTML).status_code == 200  # type: ignore[arg-type]
    assert root.get("/", **HTML).status_code == 302  # type: ignore[arg-type]


def test_whoever_signs_up_accepts_them(root: Client, settings: Any) -> None:
    settings.SIGN_UP = "open"
    form = {"email": "new@example.org", "password1": "a long battery staple"}
    save(root, terms="Be kind.")
    page = Client().get("/accounts/signup/").content.decode()
    assert 'href="/accounts/terms/"' in page
    assert "Be kind." in Client().get("/accounts/terms/").content.decode()
    refused = Client().post("/accounts/signup/", form)
    assert "Accept the terms to create an account." in refused.content.decode()
    client = Client()
    assert client.post("/accounts/signup/", form | {"terms": "on"}).status_code == 302
    assert TermsAcceptance.objects.get(user__email="new@example.org").version == 1
    assert client.get("/", **HTML).status_code == 200  # type: ignore[arg-type]


def test_images_that_are_cut(root: Client) -> None:
    for size in range(24):
        response = root.post(PAGE, FORM | {"logo_file": io.BytesIO(png()[:size])})
        assert response.status_code in (200, 302)
    assert not SiteSettings.objects.exclude(logo=None).exists()
