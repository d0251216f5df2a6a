"""What the columns of a table are, and how their values become numbers and come back."""
