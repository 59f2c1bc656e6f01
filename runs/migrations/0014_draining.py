from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0013_saved_views'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='worker',
            options={'permissions': [('drain_worker', 'Can drain and resume workers')]},
        ),
        migrations.AddField(
            model_name='worker',
            name='draining_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='worker',
            name='draining_by',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AddConstraint(
            model_name='worker',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('draining_at', None), ('draining_by', '')), models.Q(('draining_at__isnull', False), models.Q(('draining_by', ''), _negated=True)), _connector='OR'), name='runs_worker_draining_by'),
        ),
    ]
