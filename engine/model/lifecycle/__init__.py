"""A task as the supervisor sees it: state, event → state, actions."""
