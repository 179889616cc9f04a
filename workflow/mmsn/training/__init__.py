"""One training loop for every pretraining method."""
