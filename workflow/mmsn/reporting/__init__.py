"""Statistics of stored predictions in, result tables, figures and their captions out (SPEC 4, 5)."""
