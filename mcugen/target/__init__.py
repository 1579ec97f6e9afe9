"""What the code runs on: cores and boards."""
