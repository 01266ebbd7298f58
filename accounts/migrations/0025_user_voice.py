from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0024_audit_changes_and_chain"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="voice",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, editable=False),
        ),
    ]
