from django.db import migrations


class Migration(migrations.Migration):
    """Leave room on the pages of rows that change often, so that an update stays on its page (HOT)."""

    dependencies = [("runs", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE runs_run SET (fillfactor = 70);"
            "ALTER TABLE runs_thread SET (fillfactor = 80);"
            "ALTER TABLE runs_worker SET (fillfactor = 50);",
            "ALTER TABLE runs_run RESET (fillfactor);"
            "ALTER TABLE runs_thread RESET (fillfactor);"
            "ALTER TABLE runs_worker RESET (fillfactor);",
        )
    ]
