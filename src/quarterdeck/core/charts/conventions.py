"""What is only a habit of one charts repository: the names of files and keys that mean something there.

All of it is from Wikimedia's operations/deployment-charts. Each entry says where there it comes from; another charts
repository with other habits needs another table, and no other code.
"""

from __future__ import annotations

import re

# -- files: helmfile.d/services/* ------------------------------------------------------------------------------

#: a service's folder is one that holds one of these; the second is helmfile's own name for a template
HELMFILE_NAMES = ("helmfile.yaml", "helmfile.yaml.gotmpl")
#: the layers of a release whose helmfile cannot be read: what nearly all services there list
USUAL_LAYERS = (
    "values.yaml",
    "values-{{ .Environment.Name }}.yaml",
    "values-{{ .Release.Name }}.yaml",
    "values-{{ .Release.Name }}-{{ .Environment.Name }}.yaml",
)
#: files of a chart, which are never values of a service (Helm's own names)
_CHART_FILES = frozenset({"Chart.yaml", "requirements.yaml"})
#: folders of a chart below a service's folder (Helm's own names, and CI's `fixtures`)
CHART_FOLDERS = frozenset({"charts", "templates", "crds", "fixtures"})
_VALUES_FILE = re.compile(r"^[^.].*\.ya?ml(\.gotmpl)?$")

# -- keys of a service's own image: charts/*/values.yaml --------------------------------------------------------

#: blocks at the top of a values file whose `version` is the tag of the service: `main_app` in charts made from the
#: scaffold, `app` in charts of the newer modules, `shellbox` in charts/shellbox
MAIN_BLOCKS = ("main_app", "app", "shellbox")
#: keys whose value is the main image where it is `name:tag`
MAIN_IMAGE_KEY = "image"
#: beside a main tag: the image's variant, which the registry's tag ends with (charts/shellbox)
FLAVOUR_KEY = "flavour"

# -- keys of other images ---------------------------------------------------------------------------------------

#: keys that hold a tag wherever they stand (`image_version`, `php_image_tag`, `imageTag`, `tag`)
TAG_KEY = re.compile(r"(?:.*[_-])?image[_-](?:version|tag)|image(?:Version|Tag)|tag")
#: `web_image_version` has its image beside it as `web_image` or `web_image_name`
PREFIXED_TAG_KEY = re.compile(r"(?P<prefix>.+[_-])image[_-](?:version|tag)")
#: keys that hold an image (`image`, `web_image`, `imageName`)
IMAGE_KEY = re.compile(r"(?:.*[_-])?image(?:Name|_name)?|.*Image(?:Name)?")
#: beside a `version`, these say that it is an image's
IMAGE_BESIDE_VERSION = ("image", "image_name")
#: beside a bare `tag`, these say which image it is of, the likeliest first
IMAGE_BESIDE_TAG = ("repository", "name", "image", "image_name")
#: blocks of blocks whose `version` is an image's: sidecars of charts/miscweb, models of the rest gateway
IMAGE_BLOCKS_BELOW = ("sidecars", "inference")
#: keys at the top of a file that only define a tag once, for aliases below (`version: &version …`)
HOLDER_KEY = re.compile(r"(?:.*[_-])?(?:version|tag)|.*(?:Version|Tag)")

# -- what stands beside a service, not the service: moved by --key only ------------------------------------------

#: blocks of the helpers that modules/ of the charts add to a pod: the mesh's proxy, caches, web servers, exporters
HELPERS = frozenset(
    [
        "common_images",
        "envoy",
        "exporter",
        "haproxy",
        "httpd",
        "kafka_exporter",
        "logging",
        "logstash",
        "mcrouter",
        "memcached",
        "mesh",
        "monitoring",
        "nutcracker",
        "php",
        "prometheus",
        "ratelimiter",
        "rsyslog",
        "statsd",
        "tls",
        "wmf",
    ]
)
#: keys of helpers' tags that name the helper themselves
HELPER_KEY = re.compile(r"(?:.*_)?exporter_version|fluent_bit_version")

# -- what is no image tag -----------------------------------------------------------------------------------------

#: below these nothing named `version` or `tag` is an image's: settings of the program, metadata, other charts
BLOCKS_WITHOUT_TAGS = frozenset(
    [
        "annotations",
        "chart",
        "charts",
        "config",
        "config_files",
        "connections",
        "env",
        "envvars",
        "helm",
        "labels",
        "matchLabels",
        "private",
        "public",
        "schema",
        "selector",
    ]
)
#: below blocks that end so, a `version` without an image is a model's (helmfile.d/ml-services)
MODEL_BLOCKS_END = "inference_services"


def is_values_file(path: str) -> bool:
    """Whether a file is one that an edit may touch, by its name: no helmfile, chart, fixture or template."""
    name = path.rpartition("/")[2]
    return name not in HELMFILE_NAMES and name not in _CHART_FILES and _VALUES_FILE.search(name) is not None
