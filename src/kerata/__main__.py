"""`python -m kerata`: the same as the command `kerata`."""

from kerata.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
