"""What trains and predicts: one interface."""
