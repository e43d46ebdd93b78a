"""What sessions want decided: plans, schema changes, cancellations."""
