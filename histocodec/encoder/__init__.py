"""A slide to a container: a module a stage, in the order in which they run."""
