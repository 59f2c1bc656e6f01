from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0003_on_completion'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='last_frame',
            field=models.BigIntegerField(blank=True, null=True),
        ),
    ]
