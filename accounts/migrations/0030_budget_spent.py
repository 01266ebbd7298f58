from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0029_wording")]

    operations = [
        migrations.AddField(
            model_name="budget",
            name="spent_amount",
            field=models.DecimalField(decimal_places=9, editable=False, max_digits=24, null=True),
        ),
        migrations.AddField(
            model_name="budget",
            name="spent_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
