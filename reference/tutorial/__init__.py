"""What belongs to the tutorial's text: figures, misprints and experiments."""
