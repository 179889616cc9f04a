"""What one step of each pretraining method is: its views, its masks, its loss."""
