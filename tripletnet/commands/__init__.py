"""The commands: each has `add_arguments` and `run`, and imports what is heavy only when run."""
