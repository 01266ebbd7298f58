from django.urls import path

from chat import recordings_page, saving, views

app_name = "chat"

urlpatterns = [
    path("", views.new, name="new"),
    path("c/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/older/", views.older, name="older"),
    path("c/<uuid:conversation_id>/branch/<uuid:message_id>/", views.branch, name="branch"),
    path("c/<uuid:conversation_id>/rename/", views.rename, name="rename"),
    path("c/<uuid:conversation_id>/pin/", views.pin, name="pin"),
    path("c/<uuid:conversation_id>/save/", saving.save_one, name="save"),
    path("c/<uuid:conversation_id>/delete/", views.delete, name="delete"),
    path("c/<uuid:conversation_id>/undelete/", views.undelete, name="undelete"),
    path("conversations/", views.conversations, name="conversations"),
    path("conversations/save/", saving.save_all, name="save_all"),
    path("recordings/", recordings_page.show, name="recordings"),
    path("recordings/<uuid:recording_id>/audio/", recordings_page.download, name="recording_audio"),
    path("recordings/<uuid:recording_id>/delete/", recordings_page.delete, name="recording_delete"),
    path("offline/", views.offline, name="offline"),
    path("service-worker.js", views.service_worker, name="service_worker"),
]
