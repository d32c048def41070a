"""Start the sandbox from the command line: python3 -m sandbox."""

import sys

from sandbox.up import main

sys.exit(main(sys.argv[1:]))
