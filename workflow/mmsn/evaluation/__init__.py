"""Encoders judged: linear probes, fine-tuning, all or few training images, predictions."""
