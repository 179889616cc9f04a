"""Metrics, resampling and tests: arrays in, arrays and tables out, no files (SPEC 4)."""
