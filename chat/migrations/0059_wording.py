from django.db import migrations, models

from accounts.lib.wording_migrations import AlterWording


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0058_recognition'),
    ]

    operations = [
        AlterWording([
            migrations.AlterField(
                model_name='toolcall',
                name='status',
                field=models.CharField(choices=[('asked', 'Requested'), ('waiting', 'Waiting for a person'), ('allowed', 'Allowed'), ('running', 'Running'), ('ok', 'Done'), ('error', 'Failed'), ('denied', 'Denied'), ('cancelled', 'Cancelled'), ('unknown', 'Unknown – may have taken effect')], default='asked', max_length=9),
            ),
        ]),
    ]
