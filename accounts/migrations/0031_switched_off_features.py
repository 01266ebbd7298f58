from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0030_budget_spent")]

    operations = [
        migrations.AddField(
            model_name="sitesettings",
            name="off",
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
    ]
