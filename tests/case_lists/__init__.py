"""What make_cases.py asks Paddle: one list of cases per family."""

import pkgutil

FAMILIES = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"case", "integers", "paddle_ops"})
