"""`python -m monitor` is `looptop`; the command begins here, too."""

import sys


def main() -> int:
    """The command: its exit status. Ctrl-C is no error of ours either while our modules are loaded."""
    try:
        from monitor.cli import main as command
    except KeyboardInterrupt:
        return 130
    return command()


if __name__ == "__main__":
    sys.exit(main())
