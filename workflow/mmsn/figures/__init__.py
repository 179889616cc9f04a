"""Figures of the paper and further ones, drawn from stored results; nothing here trains anything."""
