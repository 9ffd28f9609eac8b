"""`python -m graftbench`."""

from graftbench.cli import main

if __name__ == "__main__":
    main()
