"""The mail about a decision. It has the reasons, and no text of the person's."""

from __future__ import annotations

import smtplib

import structlog
from allauth.account.adapter import get_adapter
from django.http import HttpRequest
from django.urls import reverse

from accounts.auth.adapter import mail_is_configured, site_url
from accounts.auth.language import speaking_to
from chat.models.moderation import Action, DecisionKind
from chat.review.announcements import statement_of
from chat.review.decisions import Decided

logger = structlog.get_logger(__name__)


def mail_decision(request: HttpRequest, decided: Decided) -> bool:
    """Mails the statement of reasons to the person. False if the mail could not be sent; True also if none is due.

    None is due without a mail server, for an erased person, and where a text was only flagged and then released.
    """
    case, person = decided.case, decided.case.person
    released = {one.kind for one in decided.decisions} == {DecisionKind.RELEASE}
    if person is None or not mail_is_configured() or (released and case.action == Action.FLAG):
        return True
    with speaking_to(person):
        statements = [statement_of(case, one) for one in decided.decisions]
    context = {
        "statements": statements,
        "blocked": not person.is_active,
        "is_final": case.appealed_at is not None or released,
        "login_url": site_url(request) + reverse("account_login"),
        "cases_url": site_url(request) + reverse("chat:cases"),
    }
    try:
        get_adapter(request).send_mail("moderation/email/decision", person.email, context)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("decision_mail_failed", case=str(case.pk), error=type(error).__name__)
        return False
    return True
