import django.db.models.deletion
from django.db import migrations, models

import runs.models.fields


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0011_growth'),
    ]

    operations = [
        migrations.AddField(
            model_name='checkpoint',
            name='live_values',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='SubgraphCheckpoint',
            fields=[
                ('id', models.UUIDField(default=runs.models.fields.new_id, editable=False, primary_key=True, serialize=False)),
                ('namespace', models.TextField()),
                ('checkpoint_id', models.UUIDField()),
                ('parent_checkpoint_id', models.UUIDField(blank=True, null=True)),
                ('root', models.UUIDField()),
                ('step', models.IntegerField()),
                ('values', models.JSONField(default=dict)),
                ('next', models.JSONField(default=list)),
                ('interrupts', models.JSONField(default=dict)),
                ('tasks', models.JSONField(default=list)),
                ('live_values', models.JSONField(blank=True, null=True)),
                ('metadata', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(db_default=runs.models.fields.ClockTimestamp(), editable=False)),
                ('run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='subgraph_checkpoints', to='runs.run')),
                ('thread', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subgraph_checkpoints', to='runs.thread')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('thread', 'namespace', 'checkpoint_id'), name='runs_subgraphcheckpoint_one')],
            },
        ),
    ]
