from django.urls import path
from django.views.generic.base import RedirectView

from accounts.views import api_tokens, deletion, language, resets, security, settings, site, sso, tickets, waiting
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
    path("accounts/settings/security/", security.show_security, name="account_settings_security"),
    path("accounts/security/remove-password/", security.remove_password, name="account_remove_password"),
    path("accounts/security/forget-browsers/", security.forget_remembered_browsers, name="account_forget_browsers"),
    path("accounts/security/required/", security.require_factor, name="account_second_factor"),
    path("accounts/2fa/", RedirectView.as_view(pattern_name="account_settings_security"), name="mfa_index"),
    path(
        "accounts/2fa/webauthn/",
        RedirectView.as_view(pattern_name="account_settings_security"),
        name="mfa_list_webauthn",
    ),
    path("accounts/2fa/webauthn/keys/<int:pk>/remove/", security.remove_passkey, name="mfa_remove_webauthn"),
    path("accounts/oidc/<str:provider_id>/login/", sso.log_in, name="openid_connect_login"),
    path("accounts/oidc/<str:provider_id>/login/callback/", sso.finish_log_in, name="openid_connect_callback"),
    path("accounts/oidc/<str:provider_id>/back-channel/", sso.back_channel_log_out, name="account_sso_backchannel"),
    path("accounts/oidc/connections/<int:pk>/end/", sso.disconnect_provider, name="account_sso_disconnect"),
    path(
        "accounts/3rdparty/",
        RedirectView.as_view(pattern_name="account_settings_security"),
        name="socialaccount_connections",
    ),
    # Whoever may have an account gets it without a form, in which another address could be entered.
    path("accounts/3rdparty/signup/", RedirectView.as_view(pattern_name="account_login"), name="socialaccount_signup"),
    path("accounts/logout/", sso.LogOut.as_view(), name="account_logout"),
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
