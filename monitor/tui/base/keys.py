"""The one table of keys. Bindings, footer, help, command palette and docs/screens.md are made from it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Key:
    """One key binding. `scope` says where it applies; each screen lists its scopes."""

    id: str
    keys: str  # Textual's names, separated by commas
    shown: str  # as displayed
    action: str
    label: str  # in the footer
    help: str
    scope: str
    footer: int = 0  # 0: not in the footer; else the lowest number stays longest if space is short
    priority: bool = False
    hint: str = ""  # in the footer, if one hint stands for two keys


SCOPES = {
    "app": "Everywhere",
    "views": "In a main screen or a page",
    "table": "In a table",
    "tasks": "Tasks",
    "player": "In a recording (these override the keys of tables)",
    "page": "In a page (a task, a slow line, an ended task)",
    "task": "A task",
    "slow": "Slow callbacks",
    "past": "The past",
    "ended": "Ended, an ended task",
    "group_list": "Groups",
    "groups": "Groups, a group",
    "output": "Output",
    "memory": "Memory",
    "allocation": "A line that allocates",
    "profile": "Profile",
    "flame": "Flame graph",
    "findings": "Findings",
    "finding": "A finding",
    "filter": "While typing a filter",
    "worker": "In the dashboard of one worker of a service",
    "service": "Service: all workers",
    "connect": "Connect screen",
}
APART = ("connect", "service", "worker")
"""Scopes that the dashboard's help omits."""

SORTING = ("sort_left", "sort_right", "left", "right", "reverse")
"""Keys of tables with sortable columns."""

KEYS: tuple[Key, ...] = (
    # Everywhere
    Key("tasks", "1", "1", "app.show('tasks')", "Tasks", "the tasks", "app"),
    Key("slow", "2", "2", "app.show('slow')", "Slow", "lines that blocked an event loop", "app"),
    Key("ended", "3", "3", "app.show('ended')", "Ended", "tasks that ended, and unhandled exceptions", "app"),
    Key("output", "4", "4", "app.show('output')", "Output", "what the program printed, under looptop run", "app"),
    Key("memory", "5", "5", "app.show('memory')", "Memory", "where memory grows, what the process uses", "app"),
    Key("profile", "6", "6", "app.show('profile')", "Profile", "functions that the program decorates", "app"),
    Key("findings", "7", "7", "app.show('findings')", "Findings", "problems that looptop detected", "app"),
    Key("groups", "8", "8", "app.show('groups')", "Groups", "tasks by coroutine and label: routes, RPC methods", "app"),
    Key("flame", "9", "9", "app.flame", "Flame", "flame graph: what loops run, where tasks wait", "app"),
    Key("threads", "0", "0", "app.threads", "Threads", "threads: CPU, line, executor job and who asked for it", "app"),
    Key("past", "T", "T", "app.past", "Past", "figures and events of the last ten minutes or six hours", "app"),
    Key("pause", "space", "space", "app.pause", "Pause", "freeze this viewer; in a recording, play or pause", "app", 3),
    Key("back", "escape", "Esc", "back", "Back", "clear the filter, or go back", "views", 6),
    Key("help", "question_mark,f1", "?", "app.help", "Help", "keys, columns and signs", "app", 1),
    Key("palette", "ctrl+p", "Ctrl+P", "app.command_palette", "Commands", "every command by name", "app", 0, True),
    Key("picture", "S", "S", "app.picture", "Picture", "save this screen as an SVG file", "app"),
    Key("quit", "q,ctrl+q,ctrl+c", "q", "app.leave", "Quit", "quit; confirms if looptop started the program", "app", 2),
    Key("suspend", "ctrl+z", "Ctrl+Z", "app.suspend", "Suspend", "suspend; `fg` resumes", "app"),
    # Recordings
    Key("record", "r", "r", "record", "Record", "record to a file; press again to stop", "views", 9),
    Key("slower", "less_than_sign", "<", "player('speed', -1)", "Slower", "half the speed, down to 0.25×", "player"),
    Key(
        "faster",
        "greater_than_sign",
        ">",
        "player('speed', 1)",
        "Speed",
        "twice the speed, up to 64×",
        "player",
        5,
        hint="< >",
    ),
    Key("earlier", "left", "←", "player('seek', -10)", "Seek", "ten seconds back", "player"),
    Key("later", "right", "→", "player('seek', 10)", "Seek", "ten seconds forward", "player", 4, hint="← →"),
    Key("much_earlier", "shift+left", "shift ←", "player('seek', -60)", "Seek", "a minute back", "player"),
    Key("much_later", "shift+right", "shift →", "player('seek', 60)", "Seek", "a minute forward", "player"),
    Key("step_back", "comma", ",", "player('step', -1)", "Step", "one tick back, then pause", "player"),
    Key("step", "full_stop", ".", "player('step', 1)", "Step", "one tick forward, then pause", "player", 7, hint=", ."),
    Key(
        "last_marker", "left_square_bracket", "[", "player('marker', -1)", "Marker", "to the previous marker", "player"
    ),
    Key(
        "next_marker",
        "right_square_bracket",
        "]",
        "player('marker', 1)",
        "Marker",
        "to the next marker",
        "player",
        6,
        hint="[ ]",
    ),
    Key("go_to", "g", "g", "player('ask', 0)", "Go to", "type a time: 14:03:22, 90s, 2m", "player", 8),
    # Tables
    Key("up", "up,k", "↑ k", "up", "Up", "one row up", "table"),
    Key("down", "down,j", "↓ j", "down", "Down", "one row down", "table"),
    Key("page_up", "pageup,ctrl+b", "PgUp", "page_up", "Page up", "one screen up", "table"),
    Key("page_down", "pagedown,ctrl+f", "PgDn", "page_down", "Page down", "one screen down", "table"),
    Key("first", "home,g", "Home g", "first", "First", "to the first row, and follow the top", "table"),
    Key("last", "end,G", "End G", "last", "Last", "to the last row", "table"),
    Key("open", "enter", "Enter", "open", "Open", "open the selected row", "table", 4),
    Key("sort_left", "less_than_sign", "<", "sort_by(-1)", "Sort", "sort by the previous column", "table"),
    Key(
        "sort_right",
        "greater_than_sign",
        ">",
        "sort_by(1)",
        "Sort",
        "sort by the next column",
        "table",
        8,
        hint="< >",
    ),
    Key("left", "left,h", "← h", "screen.sideways(-1)", "Left", "as <; in a tree: fold, or go to the parent", "table"),
    Key("right", "right,l", "→ l", "screen.sideways(1)", "Right", "as >; in a tree: unfold", "table"),
    Key("reverse", "i", "i", "reverse", "Reverse", "reverse the sort order", "table", 9),
    Key("filter", "slash", "/", "screen.filter", "Filter", "filter as you type", "table", 5),
    # Tasks
    Key(
        "view",
        "t",
        "t",
        "next_view",
        "Tree",
        "flat, tree by parent or awaiter, groups by creation site",
        "tasks",
        7,
    ),
    Key("fold", "minus", "-", "fold(True)", "Fold", "tree: hide the children", "tasks"),
    Key("unfold", "plus,equals_sign", "+", "fold(False)", "Unfold", "tree: show the children", "tasks"),
    Key("cancel", "c", "c", "cancel", "Cancel", "cancel the task under the cursor; asks first", "tasks", 10),
    Key("why", "w", "w", "why", "Why", "why it was late: what it queued behind and waited for", "tasks", 11),
    # Pages
    Key("page_line_up", "up,k", "↑ k", "up", "Up", "up to the previous line that can be opened", "page"),
    Key("page_line_down", "down,j", "↓ j", "down", "Down", "down to the next line that can be opened", "page"),
    Key("page_page_up", "pageup,ctrl+b", "PgUp", "page_up", "Page up", "one screen up", "page"),
    Key("page_page_down", "pagedown,ctrl+f", "PgDn", "page_down", "Page down", "one screen down", "page"),
    Key("page_first", "home,g", "Home g", "first", "First", "to the top", "page"),
    Key("page_last", "end,G", "End G", "last", "Last", "to the end", "page"),
    Key("page_open", "enter", "Enter", "open", "Open", "go to the task of this line, or unfold its frames", "page", 4),
    Key("task_cancel", "c", "c", "cancel", "Cancel", "cancel this task; asks first", "task", 7),
    Key("task_why", "w", "w", "why", "Why", "why it was late: what it queued behind and waited for", "task", 10),
    Key("parent", "p", "p", "parent", "Parent", "go to the task that created this one", "task", 8),
    Key(
        "origins",
        "o",
        "o",
        "app.origins",
        "Origins",
        "keep the creation stacks of new tasks (slows task creation)",
        "task",
        9,
    ),
    # Slow callbacks
    Key("lower", "minus", "-", "threshold(-1)", "Threshold", "a lower threshold", "slow", 7, hint="- +"),
    Key("higher", "plus,equals_sign", "+", "threshold(1)", "Threshold", "a higher threshold", "slow"),
    # The past
    Key("span", "d", "d", "span", "6 hours", "ten minutes or six hours", "past", 3),
    # Ended
    Key("ended_why", "w", "w", "why", "Why", "why it was late: what it queued behind and waited for", "ended", 10),
    Key(
        "locals",
        "L",
        "L",
        "app.locals",
        "Locals",
        "keep local variables of failing tasks; asks first",
        "ended",
        9,
    ),
    # Groups
    Key("group_why", "w", "w", "why", "Why", "why its slowest tasks were late, and what they wait for", "groups", 6),
    Key("group_waits", "W", "W", "waits", "Waits", "what all tasks wait for", "groups", 7),
    Key("group_by", "b", "b", "by", "By site", "by coroutine and label, or by creation site", "group_list", 8),
    # Memory
    Key(
        "trace",
        "s",
        "s",
        "trace",
        "Start",
        "trace memory; asks first and shows the cost; press again to stop",
        "memory",
        3,
    ),
    Key("baseline", "b", "b", "baseline", "Baseline", "take a baseline; growth is counted from here", "memory", 5),
    Key("look_now", "n", "n", "look_now", "Now", "take a snapshot now, or count the live objects", "memory", 6),
    Key("live", "v", "v", "live", "Auto", "take a snapshot every two seconds, or only with n", "memory", 7),
    Key("memory_view", "t", "t", "memory_view", "Objects", "growth by line, or live objects by type", "memory", 4),
    Key("group", "d", "d", "group", "Group by", "group by line, file or traceback", "memory", 6),
    Key(
        "against",
        "a",
        "a",
        "against",
        "Baseline/last",
        "compare with the baseline or with the last snapshot",
        "memory",
        7,
    ),
    Key(
        "hide_stdlib",
        "x",
        "x",
        "hide('stdlib')",
        "Hide",
        "hide or show lines of the standard library",
        "memory",
        8,
        hint="x p o",
    ),
    Key("hide_packages", "p", "p", "hide('packages')", "Hide", "hide or show lines of installed packages", "memory"),
    Key("hide_probe", "o", "o", "hide('probe')", "Hide", "hide or show lines of the probe itself", "memory"),
    Key(
        "allocation_now",
        "n",
        "n",
        "look_now",
        "Now",
        "take a snapshot now, and look up the tasks again",
        "allocation",
        7,
    ),
    # Profile
    Key("order", "d", "d", "order", "Order", "calls by newest, longest or largest growth", "profile", 7),
    # Findings
    Key("dismiss", "d", "d", "wave_off", "Dismiss", "hide this finding, or show it again", "findings", 6),
    Key("dismissed", "D", "D", "waved_off", "Dismissed", "show or hide dismissed findings", "findings", 7),
    Key("page_dismiss", "d", "d", "wave_off", "Dismiss", "hide this finding, or show it again", "finding", 6),
    # Flame graph
    Key("flame_up", "up,k", "↑ k", "up", "Up", "to the frame that called this one", "flame"),
    Key("flame_down", "down,j", "↓ j", "down", "Down", "to the largest frame that this one called", "flame"),
    Key("flame_left", "left,h", "← h", "sideways(-1)", "Left", "to the frame on the left", "flame"),
    Key("flame_right", "right,l", "→ l", "sideways(1)", "Right", "to the frame on the right", "flame"),
    Key("flame_zoom", "enter", "Enter", "open", "Zoom", "zoom in to this frame; Esc zooms out", "flame", 4),
    Key("flame_search", "slash", "/", "screen.filter", "Search", "search functions and files", "flame", 5),
    Key(
        "flame_kind", "w", "w", "screen.flame_kind", "Waiting", "on the loop, waiting, or jobs of executors", "flame", 5
    ),
    Key("flame_by", "t", "t", "screen.flame_by", "By", "by group, coroutine, creation site, task, or all", "flame", 7),
    Key("flame_baseline", "b", "b", "screen.flame_baseline", "Baseline", "count from here on", "flame", 7),
    Key(
        "flame_difference",
        "x",
        "x",
        "screen.flame_difference",
        "Compare",
        "since the baseline against before it: + more, − less",
        "flame",
        8,
    ),
    # Filter
    Key("filter_done", "enter,down", "Enter", "done", "Keep", "keep the filter, back to the table", "filter", 1),
    Key("filter_clear", "escape", "Esc", "clear", "Clear", "clear the filter", "filter", 2),
    # One worker of a service
    Key("worker_before", "left_square_bracket", "[", "app.worker('previous')", "Worker", "the worker before", "worker"),
    Key(
        "worker_after",
        "right_square_bracket",
        "]",
        "app.worker('next')",
        "Worker",
        "the worker after; Esc: all",
        "worker",
        6,
        hint="[ ]",
    ),
    # Service
    Key(
        "workers",
        "1",
        "1",
        "show_tab('service')",
        "Service",
        "a row for each worker, the worst on top",
        "service",
    ),
    Key("tasks_of_all", "2", "2", "show_tab('tasks')", "Tasks", "the tasks of all workers", "service"),
    Key(
        "slow_of_all",
        "3",
        "3",
        "show_tab('slow')",
        "Slow",
        "lines that blocked a loop, and in which workers",
        "service",
    ),
    Key("ended_of_all", "4", "4", "show_tab('ended')", "Ended", "tasks of all workers that ended", "service"),
    Key("findings_of_all", "5", "5", "show_tab('findings')", "Findings", "problems in all workers", "service"),
    Key("groups_of_all", "6", "6", "show_tab('groups')", "Groups", "coroutines and labels of all workers", "service"),
    Key(
        "flame_of_all",
        "7",
        "7",
        "show_tab('flame')",
        "Flame",
        "one flame graph of all workers; by worker with t, of one with worker:3",
        "service",
    ),
    Key("threads_of_all", "8", "8", "show_tab('threads')", "Threads", "the threads of all workers", "service"),
    Key(
        "service_play", "space", "space", "player('toggle', 0)", "Pause", "in a recording: play or pause", "service", 3
    ),
    Key("service_back", "escape", "Esc", "back", "Back", "clear the filter, or go back to the workers", "service", 7),
    Key("service_help", "question_mark,f1", "?", "app.connect_help", "Help", "the keys", "service", 1),
    Key("service_suspend", "ctrl+z", "Ctrl+Z", "app.suspend", "Suspend", "suspend; `fg` resumes", "service"),
    Key("service_quit", "q,ctrl+q,ctrl+c", "q", "app.leave", "Quit", "quit looptop", "service", 2),
    # Connect screen
    Key("programs", "1", "1", "show_tab('programs')", "Programs", "Python programs running here", "connect"),
    Key("recordings", "2", "2", "show_tab('recordings')", "Recordings", "recordings in this folder", "connect"),
    Key("samples", "3", "3", "show_tab('samples')", "Samples", "small programs to try looptop on", "connect"),
    Key("section", "tab", "Tab", "sideways(1)", "Next", "the next list; also ← and →", "connect", 6),
    Key("unsaid", "escape", "Esc", "back", "Clear", "cancel; clear message and filter", "connect", 7),
    Key(
        "connect_palette",
        "ctrl+p",
        "Ctrl+P",
        "app.command_palette",
        "Commands",
        "every command by name",
        "connect",
        0,
        True,
    ),
    Key("connect_help", "question_mark,f1", "?", "app.connect_help", "Help", "the keys", "connect", 1),
    Key("connect_suspend", "ctrl+z", "Ctrl+Z", "app.suspend", "Suspend", "suspend; `fg` resumes", "connect"),
    Key("connect_quit", "q,ctrl+q,ctrl+c", "q", "app.leave", "Quit", "quit looptop", "connect", 2),
)

ASKING = ("record", "cancel", "task_cancel", "origins", "locals", "trace", "baseline", "look_now", "live", "against",
          "hide_stdlib", "allocation_now")  # fmt: skip
"""Keys that request something from the program, so they do not work in a recording."""


def of(*scopes: str) -> list[Key]:
    """Returns the keys of some scopes, in table order."""
    return [key for key in KEYS if key.scope in scopes]


def bindings(*scopes: str) -> list[Binding]:
    """Returns the keys of some scopes as Textual bindings."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label,
            show=False,
            priority=key.priority or key.scope == "player",
            tooltip=key.help,
            id=key.id,
        )
        for key in of(*scopes)
    ]


def hints(*scopes: str) -> list[Key]:
    """Returns the keys for the footer, the most important first. Keys of the player hide others on the same key."""
    shown = [key for key in of(*scopes) if key.footer]
    if "player" in scopes:
        taken = {name for key in of("player") for name in key.keys.split(",")}
        shown = [key for key in shown if key.scope == "player" or not taken.intersection(key.keys.split(","))]
        shown = [key for key in shown if key.id not in ASKING]
    return sorted(shown, key=lambda key: key.footer)


def commands(*scopes: str) -> list[Key]:
    """Returns the keys for the command palette: all but the palette itself and cursor movements."""
    return [
        key
        for key in of(*scopes)
        if key.id not in ("palette", "connect_palette") and (key.footer or key.scope not in ("table", "page"))
    ]


def by_id(key_id: str) -> Key:
    """Returns the key with an id."""
    return next(key for key in KEYS if key.id == key_id)


def keys_table() -> str:
    """Formats all keys as a Markdown table."""
    rows = ["| key | where | what it does |", "|---|---|---|"]
    rows += [f"| `{key.shown}` | {SCOPES[key.scope]} | {key.help} |" for key in KEYS]
    return "\n".join(rows)
