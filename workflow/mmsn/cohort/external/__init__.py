"""The two external data sets, NIH-14 and CheXpert: their tables in, one row an image out."""
