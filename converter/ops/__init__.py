"""Every operator, declared once: slots, attributes, defaults and a numpy body that is the oracle.

The families are the modules of this folder; importing the package finds them all.
"""

import importlib
import pkgutil

from converter.ops.run import evaluate, evaluate_node
from converter.ops.spec import REGISTRY, REQUIRED, Spec, complete, op

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["REGISTRY", "REQUIRED", "Spec", "complete", "evaluate", "evaluate_node", "op"]
