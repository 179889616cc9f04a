"""The embedded default data set: MIMIC-shaped tables and radiograph phantoms with known truth."""
