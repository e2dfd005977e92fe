"""What people train with."""
