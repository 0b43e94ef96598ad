"""Drops records; a predicate says which (upstream: ``Filter``)."""

from engine.api.transformation import Record, Transformation


class Filter(Transformation):
    """Drops every record it sees."""

    def apply(self, record: Record) -> Record | None:
        """Nothing."""
        del record
        return None
