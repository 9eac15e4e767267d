"""A terminal that went away keeps nobody waiting: not the dashboard, and so not the program below it."""

import threading

from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

from monitor.tui.terminal.lost_terminal import Terminal


class Gone:
    """A terminal that was closed."""

    def write(self, text: str) -> None:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def test_writes_to_a_terminal_that_is_gone_are_lost_and_do_not_block() -> None:
    writer = WriterThread(Terminal(Gone()))
    writer.start()

    def write() -> None:
        for _ in range(3 * MAX_QUEUED_WRITES):
            writer.write("\x1b[?25h")
        writer.stop()

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(60)
    assert not writing.is_alive() and not writer.is_alive()


def test_what_is_written_comes_through() -> None:
    class There:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            self.text += "|"

    there = There()
    writer = WriterThread(Terminal(there))
    writer.start()
    writer.write("one")
    writer.stop()
    assert there.text.startswith("one") and there.text.endswith("|")
