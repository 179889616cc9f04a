"""Every table of the paper filled from this study, what the study says of each claim, and the report's opening."""
