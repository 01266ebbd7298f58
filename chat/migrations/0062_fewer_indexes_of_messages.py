"""Each message writes fewer indexes. Those that go are the beginning of another one, or were of answers' empty authors."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from accounts.lib.index_migrations import BuildIndex


def without_own_index(
    table: str, index: str, column: str, change: migrations.AlterField
) -> migrations.SeparateDatabaseAndState:
    """`AlterField` would check all rows' foreign keys anew, under a lock, to drop an index."""
    return migrations.SeparateDatabaseAndState(
        state_operations=[change],
        database_operations=[
            migrations.RunSQL(
                f"DROP INDEX CONCURRENTLY IF EXISTS {index}",
                f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} ({column})",
            )
        ],
    )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("chat", "0061_calls_by_their_upstream_ids"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        BuildIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("author__isnull", False)), fields=["author"], name="message_by_author"
            ),
        ),
        without_own_index(
            "chat_message",
            "chat_message_author_id_923569d5",
            "author_id",
            migrations.AlterField(
                model_name="message",
                name="author",
                field=models.ForeignKey(
                    blank=True,
                    db_index=False,
                    null=True,
                    on_delete=django.db.models.deletion.SET_NULL,
                    related_name="messages",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ),
        without_own_index(
            "chat_message",
            "chat_message_conversation_id_a1207bf4",
            "conversation_id",
            migrations.AlterField(
                model_name="message",
                name="conversation",
                field=models.ForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.CASCADE,
                    related_name="messages",
                    to="chat.conversation",
                ),
            ),
        ),
        without_own_index(
            "chat_submission",
            "chat_submission_user_id_91de41a8",
            "user_id",
            migrations.AlterField(
                model_name="submission",
                name="user",
                field=models.ForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.CASCADE,
                    related_name="submissions",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ),
        without_own_index(
            "chat_member",
            "chat_member_user_id_7876c357",
            "user_id",
            migrations.AlterField(
                model_name="member",
                name="user",
                field=models.ForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.CASCADE,
                    related_name="memberships",
                    to=settings.AUTH_USER_MODEL,
                ),
            ),
        ),
    ]
