"""Imported by every Python that is started with this folder on PYTHONPATH."""

import sys

from lake_instead import SWITCH, RedirectAtImport

SWITCH.is_on = True
sys.meta_path.insert(0, RedirectAtImport)
