"""What a network did."""
