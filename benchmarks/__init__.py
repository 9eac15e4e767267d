"""What watching costs: `python -m benchmarks`. Nothing here asserts wall time; what is reported are ratios.

* works: the pieces of work, each a coroutine that does n of something
* worker: the process that does one of them, watched or not
* turns: lets four workers take turns, and makes ratios of their CPU times
* processes: starts, pins, asks and ends what all this takes
* load: the client of the HTTP work, a process of its own
* viewer: a viewer that reads everything, a process of its own
* crowds: memory, first screen and delays with many tasks; its program is crowd_app
* startup: how long a person waits for a command, for the dashboard's first data, for the answer to a key
* report: text for a terminal, and docs/cost.md
* table: how fast the dashboard's table repaints (`python -m benchmarks.table`)
"""
