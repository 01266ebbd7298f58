from django.urls import path

from accounts import views
from accounts.invitation_page import accept_invitation, open_invitation
from accounts.usage_page import show_usage

urlpatterns = [
    path("ws/ticket/", views.issue_ticket, name="ticket"),
    path("accounts/invitation/", open_invitation, name="account_invitation"),
    path("accounts/invitation/accept/", accept_invitation, name="account_accept_invitation"),
    path("accounts/usage/", show_usage, name="account_usage"),
    path("accounts/settings/", views.edit_settings, name="account_settings"),
    path("accounts/sessions/end-others/", views.end_other_sessions, name="account_end_other_sessions"),
    path("accounts/sessions/<str:hash_>/end/", views.end_one_session, name="account_end_session"),
]
