from django.urls import path

from chat.views import conversations, exports, offline, recordings, sidebar, usage

app_name = "chat"

urlpatterns = [
    path("", conversations.new, name="new"),
    path("c/<uuid:conversation_id>/", conversations.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/older/", conversations.older, name="older"),
    path("c/<uuid:conversation_id>/branch/<uuid:message_id>/", conversations.branch, name="branch"),
    path("c/<uuid:conversation_id>/rename/", sidebar.rename, name="rename"),
    path("c/<uuid:conversation_id>/pin/", sidebar.pin, name="pin"),
    path("c/<uuid:conversation_id>/export/", exports.export_conversation, name="export"),
    path("c/<uuid:conversation_id>/delete/", sidebar.delete, name="delete"),
    path("c/<uuid:conversation_id>/undelete/", sidebar.undelete, name="undelete"),
    path("conversations/", sidebar.conversations, name="conversations"),
    path("conversations/export/", exports.export_own_data, name="export_own_data"),
    path("recordings/", recordings.show, name="recordings"),
    path("recordings/<uuid:recording_id>/audio/", recordings.download, name="recording_audio"),
    path("recordings/<uuid:recording_id>/delete/", recordings.delete, name="recording_delete"),
    path("accounts/usage/", usage.show_usage, name="usage"),
    path("offline/", offline.offline, name="offline"),
    path("service-worker.js", offline.service_worker, name="service_worker"),
]
