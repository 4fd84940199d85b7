"""Benchmarks: ratios within one run, because machines are noisy (`make bench`); `python -m bench files` runs a part."""

import sys

from bench import files, memory, reach, reviews

_PARTS = {"reviews": reviews.main, "files": files.main, "reach": reach.main, "memory": memory.main}

if __name__ == "__main__":
    unknown = [part for part in sys.argv[1:] if part not in _PARTS]
    if unknown:
        sys.exit(f"bench: there is no part {unknown[0]}; there are {', '.join(_PARTS)}")
    for part in sys.argv[1:] or _PARTS:
        _PARTS[part]()
