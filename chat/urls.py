from django.urls import path

from chat.views import conversations, exports, instructions, models, offline, parameters, recordings, sidebar, usage

app_name = "chat"

urlpatterns = [
    path("", conversations.show_new, name="new"),
    path("c/<uuid:conversation_id>/", conversations.show_conversation, name="conversation"),
    path("c/<uuid:conversation_id>/older/", conversations.show_older, name="older"),
    path("c/<uuid:conversation_id>/branch/<uuid:message_id>/", conversations.show_branch, name="branch"),
    path("c/<uuid:conversation_id>/rename/", sidebar.rename, name="rename"),
    path("c/<uuid:conversation_id>/pin/", sidebar.pin, name="pin"),
    path("c/<uuid:conversation_id>/parameters/", parameters.read_or_change, name="parameters"),
    path("c/<uuid:conversation_id>/export/", exports.export_conversation, name="export"),
    path("c/<uuid:conversation_id>/summaries/<uuid:summary_id>/", sidebar.use_summary, name="use_summary"),
    path("c/<uuid:conversation_id>/delete/", sidebar.delete, name="delete"),
    path("c/<uuid:conversation_id>/restore/", sidebar.restore, name="restore"),
    path("conversations/", sidebar.list_conversations, name="conversations"),
    path("conversations/export/", exports.export_own_data, name="export_own_data"),
    path("parameters/", parameters.read_defaults, name="parameter_defaults"),
    path("models/", models.list_models, name="models"),
    path("models/choose/", models.choose_model, name="model_choose"),
    path("models/star/", models.star_model, name="model_star"),
    path("recordings/", recordings.show_recordings, name="recordings"),
    path("recordings/<uuid:recording_id>/audio/", recordings.download_audio, name="recording_audio"),
    path("recordings/<uuid:recording_id>/delete/", recordings.delete_audio, name="recording_delete"),
    path("accounts/instructions/", instructions.edit_instructions, name="instructions"),
    path("accounts/usage/", usage.show_usage, name="usage"),
    path("offline/", offline.show_offline, name="offline"),
    path("service-worker.js", offline.serve_service_worker, name="service_worker"),
]
