from django.urls import path

from accounts.views import language, resets, settings, tickets, waiting
from accounts.views.invitations import accept_invitation, open_invitation

urlpatterns = [
    path("ws/ticket/", tickets.issue_ticket, name="ticket"),
    path("accounts/invitation/", open_invitation, name="account_invitation"),
    path("accounts/invitation/accept/", accept_invitation, name="account_accept_invitation"),
    path("accounts/waiting/", waiting.show_waiting, name="account_waiting"),
    path("accounts/inactive/", waiting.show_inactive, name="account_inactive"),
    path("accounts/password/reset/", resets.request_reset, name="account_reset_password"),
    path("accounts/password/open/", resets.open_reset, name="account_open_reset"),
    path("accounts/settings/", settings.edit_settings, name="account_settings"),
    path("accounts/language/", language.choose_language, name="account_language"),
    path("accounts/sessions/end-others/", settings.end_other_sessions, name="account_end_other_sessions"),
    path("accounts/sessions/<str:hash_>/end/", settings.end_one_session, name="account_end_session"),
]
