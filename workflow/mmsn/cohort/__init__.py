"""MIMIC, CheXpert and NIH-14 tables in, one row an image out."""
