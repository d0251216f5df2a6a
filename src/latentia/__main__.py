"""``python -m latentia`` is the command line."""

import sys

from latentia.cli import main

if __name__ == "__main__":
    sys.exit(main())
