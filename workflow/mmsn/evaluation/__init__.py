"""Frozen encoders judged: linear probes, predictions."""
