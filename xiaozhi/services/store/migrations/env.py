"""Alembic's way in: it runs this file for every upgrade. See `database.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
