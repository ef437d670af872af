"""One module for each scenario; a module's SCENARIO is what it says of itself, its `main` what its script in tests/bench runs."""

import importlib

# In the order of the page.
MODULES = ("relaying", "sender_authentication", "milter", "features", "throttle", "traces", "policies", "idle", "load")


def known():
    """Every scenario, in the order of the page."""
    return [importlib.import_module(f"{__name__}.{module}").SCENARIO for module in MODULES]
