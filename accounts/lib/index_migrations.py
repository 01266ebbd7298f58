"""Indexes that migrations build while the site runs."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently


class BuildIndex(AddIndexConcurrently):
    """`AddIndexConcurrently` that can be repeated, in a migration with `atomic = False`.

    PostgreSQL waits for the transactions that run, longer than `manage.py prepare` waits for a lock, and leaves an
    invalid index behind where it is interrupted: it is removed and built anew. One that is valid is left alone.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        self._ensure_not_in_transaction(schema_editor)
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            [waits] = cursor.fetchone()
            cursor.execute("SELECT set_config('lock_timeout', '0', false)")
            try:
                cursor.execute(
                    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)",
                    [schema_editor.quote_name(self.index.name)],
                )
                found = cursor.fetchone()
                if found and not found[0]:
                    cursor.execute(f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(self.index.name)}")
                if not found or not found[0]:
                    schema_editor.add_index(model, self.index, concurrently=True)
            finally:
                cursor.execute("SELECT set_config('lock_timeout', %s, false)", [waits])
