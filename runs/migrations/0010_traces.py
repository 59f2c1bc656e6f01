from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0009_assistants'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='request_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='run',
            name='traceparent',
            field=models.CharField(blank=True, db_default='', default='', max_length=55),
        ),
    ]
