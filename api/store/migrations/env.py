"""Runs the migrations in the transaction that `database.open_database` has begun."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
