"""Single message transforms and predicates; each is a plugin like anybody's."""
