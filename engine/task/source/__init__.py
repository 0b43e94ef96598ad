"""A source task: from its polls to acknowledged records and their offsets."""
