"""Recording a program while watching it. The writer is loaded when a recording starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.protocol.frames import Frame
    from monitor.recording.writer import File, Recorder
    from monitor.tui.base.dashboard import Dashboard


class RecordingControl:
    """Makes at most one recording at a time. Gets each frame after the store has applied it."""

    def __init__(self, app: Dashboard) -> None:
        self._app = app
        self._recorder: Recorder | None = None
        self._path = Path()
        self._since = 0.0

    def take(self, frame: Frame) -> None:
        """Records a frame, and reports if the recording ended because of it."""
        recorder = self._recorder
        if recorder is None:
            return
        recorder.take(frame)
        if not recorder.running:
            self._recorder = None
            recorder.close()
            why = f"recording stopped: {recorder.problem}" if recorder.problem else recorder.ended
            self._app.say(f"{self._path}: {why}; {self._facts(recorder)}", bad=True)

    def sign(self) -> tuple[str, str] | None:
        """The file name and size for the header, while recording."""
        recorder = self._recorder
        return None if recorder is None else (self._path.name, self._facts(recorder))

    def _facts(self, recorder: Recorder) -> str:
        dropped = f", {recorder.dropped} ticks dropped" if recorder.dropped else ""
        seconds = max(self._app.store.now - self._since, 0.0)
        return f"{fmt.age(seconds)} {fmt.size(recorder.written)}{dropped}"

    async def toggle(self) -> None:
        """Asks for a file and starts, or stops. Closing happens in a thread, since the disk may be slow."""
        app = self._app
        session = app.store.session
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            await asyncio.to_thread(recorder.close, "stopped")
            facts = self._facts(recorder)
            problem = f"; {recorder.problem}" if recorder.problem else ""
            app.say(f"recorded {self._path}: {facts}{problem}", bad=bool(problem))
            app.update_now()
        elif app.replaying:
            app.say("already watching a recording")
        elif session is None:
            app.say("no program to record yet", bad=True)
        else:
            from monitor.recording.record import default_path
            from monitor.tui.dialogs.form import Field, FormScreen

            name = default_path(session.name, session.program, app.wall())
            form = FormScreen(
                "Record this program?",
                (Field("file", str(name)),),
                self._open,
                "record",
                lambda _: "Records until you press r again or quit. looptop replay FILE plays it.",
            )
            app.push_screen(form, self._begin)

    def _open(self, texts: Sequence[str]) -> File:
        """Opens the file for a recording. Raises UsageError if the path cannot be written to."""
        from monitor.recording.writer import File

        if not texts[0]:
            raise UsageError("a recording needs a file name", "type one")
        self._path = Path(texts[0]).expanduser()
        return File(self._path)

    def _begin(self, file: File | None) -> None:
        if file is not None:
            from monitor.recording.writer import Recorder

            self._recorder = Recorder(self._app.store, file)
            self._since = self._app.store.now
            self._app.update_now()

    def close(self) -> None:
        """Completes the recording when the dashboard exits."""
        if self._recorder is not None:
            self._recorder.close("the dashboard ended")
            self._recorder = None
