"""`python -m phantomdb` is the command `phantomdb`."""

from phantomdb.cli import main

if __name__ == "__main__":
    main()
