"""`python -m monitor` is `looptop`; the command begins here, too."""

import sys


def main() -> int:
    """Run the command; its exit status. Ctrl-C is not an error even while modules are being imported."""
    try:
        from monitor.cli import main as command
    except KeyboardInterrupt:
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
