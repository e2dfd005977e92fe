"""What it costs where."""
