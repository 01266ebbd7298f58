from django.urls import path

from accounts.views import api_tokens, deletion, language, resets, settings, site, tickets, waiting
from accounts.views.invitations import accept_invitation, open_invitation

urlpatterns = [
    path("ws/ticket/", tickets.issue_ticket, name="ticket"),
    path("accounts/invitation/", open_invitation, name="account_invitation"),
    path("accounts/invitation/accept/", accept_invitation, name="account_accept_invitation"),
    path("accounts/waiting/", waiting.show_waiting, name="account_waiting"),
    path("accounts/inactive/", waiting.show_inactive, name="account_inactive"),
    path("accounts/password/reset/", resets.request_reset, name="account_reset_password"),
    path("accounts/password/open/", resets.open_reset, name="account_open_reset"),
    path("accounts/settings/", settings.show_general, name="account_settings"),
    path("accounts/settings/appearance/", settings.show_appearance, name="account_settings_appearance"),
    path("accounts/settings/account/", settings.edit_account, name="account_settings_account"),
    path("accounts/settings/sessions/", settings.show_sessions, name="account_settings_sessions"),
    path("site/logo/<str:name>", site.show_logo, name="site_logo"),
    path("accounts/terms/", site.show_terms, name="account_terms"),
    path("accounts/terms/accept/", site.ask_terms, name="account_accept_terms"),
    path("accounts/delete/", deletion.delete_account, name="account_delete"),
    path("accounts/delete/done/", deletion.show_deleted, name="account_deleted"),
    path("accounts/delete/keep/", deletion.keep_account, name="account_keep"),
    path("accounts/language/", language.choose_language, name="account_language"),
    path("accounts/tokens/", api_tokens.show_tokens, name="account_api_tokens"),
    path("accounts/tokens/new/", api_tokens.create, name="account_api_token_new"),
    path("accounts/tokens/<uuid:token_id>/revoke/", api_tokens.revoke, name="account_api_token_revoke"),
    path("accounts/sessions/end-others/", settings.end_other_sessions, name="account_end_other_sessions"),
    path("accounts/sessions/<str:hash_>/end/", settings.end_one_session, name="account_end_session"),
]
