from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0025_scim_maintenance_and_approvals"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="voice",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict, editable=False),
        ),
    ]
