import sys

from bench.reviews import main

if __name__ == "__main__":
    sys.exit(main())
