"""What make_cases.py asks Paddle: one list of cases per family."""
