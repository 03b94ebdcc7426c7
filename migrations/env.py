"""Runs the migrations on the connection that `cachestore.index.migration` hands over.

The caller has begun the transaction and commits it, so a database is never left between two revisions.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
