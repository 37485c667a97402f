"""The store: typed models, sessions, migrations and the change feed. The only place that knows the database."""
