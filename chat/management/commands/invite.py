"""`manage.py invite`: invites somebody by a link."""

from __future__ import annotations

import json
import smtplib
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse
from django.utils import timezone

from accounts import invitations
from accounts.audit import record_command
from accounts.auth.adapter import listed_origin, mail_is_configured
from accounts.models import Invitation, User
from chat.management import accounts
from chat.management.terminal import show_examples


class Command(BaseCommand):
    help = (
        "Creates an invitation and prints its link, which makes one account and is valid for INVITATION_DAYS. With a "
        "mail server the link is mailed as well. It is sent in the name of an administrator, whose rights it needs "
        "when it is used. Exit code 0, or 1 with nothing done: the address has an account or is invited already."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--plan", default="", help="the plan of the new account (default: the default plan)")
        parser.add_argument("--role", default="", help="a role or group of the new account")
        parser.add_argument("--by", default="", metavar="EMAIL", help="who invites (default: the first superuser)")
        parser.add_argument(
            "--url",
            default="",
            help="the site's address (default: the first of ALLOWED_ORIGINS, else of what `manage.py up` runs here)",
        )
        parser.add_argument("--no-mail", action="store_true", help="only print the link")
        parser.add_argument("--json", action="store_true", help="for scripts: email, link and whether it was mailed")
        show_examples(
            parser,
            ("invite ana@example.org", "prints a link, and mails it if there is a mail server"),
            ("invite ana@example.org --url https://chat.example.org", "where ALLOWED_ORIGINS is not set"),
            ("invite ana@example.org --role support --no-mail", "you send the link yourself"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        plan = accounts.find_plan(options["plan"]) if options["plan"] else None
        role = accounts.find_group(options["role"]) if options["role"] else None
        by = _sender(options["by"])
        origin = (options["url"] or listed_origin() or settings.LOCAL_URL).rstrip("/")
        if not origin:
            raise CommandError(
                "The site's address is not known: --url https://chat.example.org, or set ALLOWED_ORIGINS."
            )
        try:
            made, secret = invitations.invite(by, options["email"], plan, role)
        except invitations.InvitationError as error:
            raise CommandError(str(error)) from None
        record_command("invite", made, details=f"{made.email}, in the name of {by.email}")
        link = f"{origin}{reverse('account_invitation')}#{secret}"
        mailed, said = (False, "") if options["no_mail"] else _mail(made, link, by)
        if options["json"]:
            self.stdout.write(json.dumps({"email": made.email, "link": link, "mailed": mailed}))
            return
        self.stdout.write(link)
        if said:
            self.stderr.write(said)


def _sender(email: str) -> User:
    if email:
        return accounts.find_user(email)
    found = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if found is None:
        raise CommandError("There is no administrator in whose name to invite: `manage.py users create`, then promote.")
    return found


def _mail(made: Invitation, link: str, by: User) -> tuple[bool, str]:
    """Whether the link was mailed, and a sentence about it. The invitation holds in any case."""
    if not mail_is_configured():
        return False, "No mail was sent, because EMAIL_HOST is not set: send the link yourself."
    context = {
        "link": link, "by": by, "days": settings.INVITATION_DAYS, "site": settings.SITE_NAME,
        "site_name": settings.SITE_NAME, "site_url": listed_origin(),
    }  # fmt: skip
    try:
        get_adapter().render_mail("account/email/invitation", made.email, context).send()
    except (smtplib.SMTPException, OSError) as error:
        return False, f"The mail failed ({type(error).__name__}): send the link yourself."
    Invitation.objects.filter(pk=made.pk, token_hash=made.token_hash).update(mailed_at=timezone.now())
    return True, "The link was mailed."
