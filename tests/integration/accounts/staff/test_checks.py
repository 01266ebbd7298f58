"""Django's own checks of the admin classes, which a command that loads no admin module does not make."""

from __future__ import annotations

from django.core import checks


def test_every_admin_class_is_sound() -> None:
    assert checks.run_checks(tags=["admin"]) == []
