"""The command ``scripts/generate-docs``."""

import sys

from scripts.documents import DOCUMENTS, out_of_date, write_all

match sys.argv[1:]:
    case []:
        write_all()
        sys.stdout.write(f"wrote {', '.join(DOCUMENTS)}\n")
    case ["--check"]:
        if stale := out_of_date():
            sys.exit(f"out of date: {', '.join(stale)}. Run scripts/generate-docs.")
    case _:
        sys.exit("usage: scripts/generate-docs [--check]")
