from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Chat")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from accounts.auth.maintenance import register_pages_in_maintenance
        from accounts.auth.terms import register_open_pages
        from accounts.erasure import UserData, register_user_data
        from accounts.lib.model_names import translate_derived_names
        from accounts.lib.redis import provide_pipeline
        from accounts.models.users import users_changed
        from accounts.roles import register_app_permissions, register_ordinary_permissions
        from accounts.staff.user_links import register_user_link
        from accounts.staff.user_panels import register_user_panel
        from accounts.suspension import register_suspension_listener
        from accounts.view_as import register_own_pages, register_viewable_pages
        from accounts.views.settings import register_name_check, register_settings_link
        from accounts.views.waiting import register_reasons_page
        from chat.catalog.tool_servers import forget_server
        from chat.channel_layer import commands
        from chat.conversations import removal  # noqa: F401  # importing registers its signals
        from chat.files import uploads
        from chat.jobs.dispatch import enqueue_reading
        from chat.models import Recording, ToolServer
        from chat.models.messages import READ_TEXT
        from chat.models.presets import SHARE
        from chat.models.revisions import READ_REVISION
        from chat.models.tools import READ_CALLS
        from chat.portability.export import export_user_data
        from chat.portability.transfers import TASKS, delete_transfer_file
        from chat.retention import erasure, merging
        from chat.review.announcements import announce_suspension
        from chat.review.user_lists import USER_LISTS
        from chat.review.user_panel import strikes_panel
        from chat.runs import closing
        from chat.shares.links import recheck_shares_of, recheck_shares_of_changed
        from chat.turns import going_on
        from chat.views.appeals import check_person_name
        from chat.views.settings import register_sections
        from chat.voice import audio_files
        from chat.webhooks.sources import register_sources

        translate_derived_names(self)
        provide_pipeline(commands.execute)
        register_sources()
        uploads.after_stored.append(enqueue_reading)
        register_suspension_listener(announce_suspension)
        closing.after_end.append(going_on.after_end)
        register_suspension_listener(lambda user_id, _until, _reason: recheck_shares_of(user_id))
        users_changed.connect(recheck_shares_of_changed)
        register_user_panel(strikes_panel)
        post_delete.connect(audio_files.delete_file, sender=Recording)
        for transfer in TASKS:
            post_delete.connect(delete_transfer_file, sender=transfer)
        post_delete.connect(forget_server, sender=ToolServer)
        register_user_data(UserData(export_user_data, erasure.report, erasure.handovers, merging.merge, merging.report))
        for link in USER_LISTS:
            register_user_link(link)
        register_sections()
        register_viewable_pages(
            "chat:new",
            "chat:conversation",
            "chat:print",
            "chat:conversations",
            "chat:trash",
            "chat:usage",
            "chat:own_links",
            "chat:cases",
            "chat:settings_models",
            "chat:settings_files",
            "chat:settings_voice",
            "chat:settings_data",
            "chat:collections",
            "chat:collection",
            "chat:instructions",
            "chat:presets",
            "chat:prompts",
            "chat:file_thumbnail",
        )
        register_own_pages("chat:service_worker", "chat:manifest", "chat:offline", "chat:share")
        register_pages_in_maintenance("chat:share")  # the password of a link that is only read
        register_open_pages("chat:service_worker", "chat:manifest", "chat:offline", "chat:export_own_data")
        for name, view in (
            ("usage", "chat:usage"),
            ("instructions", "chat:instructions"),
            ("cases", "chat:cases"),
            ("data", "chat:settings_data"),
        ):
            register_settings_link(name, view)
        register_reasons_page("chat:blocked_cases")
        register_name_check(check_person_name)
        register_ordinary_permissions("chat", (SHARE,))
        register_app_permissions(
            "chat",
            has={
                "support": ("chat.view_run", "chat.view_step", "chat.view_toolcall"),
                "moderator": (
                    "chat.view_conversation", "chat.view_message", "chat.view_run", "chat.operate_run", READ_TEXT,
                    READ_REVISION, "chat.view_revision", "chat.view_rating",
                    "chat.view_moderationcase", "chat.read_case", "chat.decide_case", "chat.view_strike",
                    "chat.view_moderationrule", "chat.view_queuedmessage", "chat.delete_queuedmessage",
                    "chat.view_sharelink", "chat.change_sharelink", "chat.view_joinlink",
                    "chat.change_joinlink", "chat.view_file", "chat.delete_file",
                    "chat.view_collection", "chat.delete_collection",
                    "chat.view_step", "chat.view_toolcall", READ_CALLS, "chat.view_knowntool",
                    "chat.view_toolpolicy", "chat.change_toolswitch",
                ),
            },
            never={
                "support": (READ_TEXT, READ_REVISION, READ_CALLS, "chat.read_case", "chat.decide_case"),
                "billing": (READ_TEXT, READ_REVISION, READ_CALLS, "chat.read_case", "chat.decide_case"),
            },
        )  # fmt: skip
