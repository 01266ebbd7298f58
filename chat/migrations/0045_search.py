"""The search index: tables, functions and triggers, then the words of what is stored already.

Nothing locks a table that has many rows: the tables are new, and the triggers come before the rows, so a process that
writes meanwhile indexes what it writes. Rows are indexed in transactions of a thousand; after an interruption the
migration goes on where it was.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

from chat.search import sql
from chat.search.filling import fill


def index(apps, schema_editor):
    fill(schema_editor.connection)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("chat", "0044_written_titles"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(sql=[sql.TABLES, sql.FUNCTIONS, sql.TRIGGERS], reverse_sql=[sql.REMOVE]),
            ],
            state_operations=[
                migrations.CreateModel(
                    name="ConversationWords",
                    fields=[
                        ("conversation", models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name="+", serialize=False, to="chat.conversation")),
                        ("home", models.UUIDField(null=True)),
                        ("words", django.contrib.postgres.search.SearchVectorField()),
                    ],
                    options={"default_permissions": ()},
                ),
                migrations.CreateModel(
                    name="MessageWords",
                    fields=[
                        ("message", models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name="+", serialize=False, to="chat.message")),
                        ("conversation_id", models.UUIDField()),
                        ("written_at", models.DateTimeField()),
                        ("words", django.contrib.postgres.search.SearchVectorField()),
                    ],
                    options={
                        "default_permissions": (),
                        "indexes": [
                            django.contrib.postgres.indexes.GinIndex(fields=["words"], name="message_words"),
                            models.Index(fields=["conversation_id", "written_at"], name="message_words_by_time"),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunPython(index, migrations.RunPython.noop),
    ]
