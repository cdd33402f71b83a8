"""Optimisers and schedules that torch has not."""
