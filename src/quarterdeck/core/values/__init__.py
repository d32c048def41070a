"""Finds the image tag of a service in its helmfile values and moves it, changing those bytes and nothing else.

One plain main scalar (`main_app.version`, `app.version` or `shellbox.version`) in the shared values file or in an
environment's own is handled. Everything else is refused with the place named, to be pushed by hand.
"""

from __future__ import annotations

from .edit import EditPlan, plan
from .find import Found, effective
from .helmfile import Layout, environments, layout, timeout

__all__ = ["EditPlan", "Found", "Layout", "effective", "environments", "layout", "plan", "timeout"]
