from django.db import migrations, models

from accounts.lib.index_migrations import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("chat", "0060_embeddings"),
    ]

    operations = [
        BuildIndex(
            model_name="toolcall",
            index=models.Index(
                condition=models.Q(("server", ""), ("tries", 0)), fields=["upstream_id"],
                name="tool_call_by_upstream_id",
            ),
        ),
    ]
