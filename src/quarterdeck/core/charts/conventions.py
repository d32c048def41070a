"""What is only a habit of one charts repository: names of files and keys that another repository might call otherwise.

The source of all of it is Wikimedia's operations/deployment-charts: the files below `helmfile.d/services`, and the
charts below `charts/` that read their values.
"""

from __future__ import annotations

import re

#: a service's folder is one that holds one of these
HELMFILE_NAMES = ("helmfile.yaml", "helmfile.yaml.gotmpl")
_CHART_FILES = frozenset({"Chart.yaml", "requirements.yaml"})
_VALUES_FILE = re.compile(r"^[^.].*\.ya?ml(\.gotmpl)?$")


def is_values_file(path: str) -> bool:
    """Whether a file is one that an edit may touch, by its name: no helmfile, chart, fixture or template."""
    name = path.rpartition("/")[2]
    return name not in HELMFILE_NAMES and name not in _CHART_FILES and _VALUES_FILE.search(name) is not None
