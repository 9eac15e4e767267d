"""What watching costs: `python -m benchmarks`. Nothing here asserts wall time; what is reported are ratios.

* works: the workloads, each a coroutine that does n units of something
* worker: the process that runs one of them, watched or not
* turns: lets five workers take turns, and makes ratios of their CPU times
* processes: starts, pins and ends the processes
* load: the client of the HTTP workload, a separate process
* viewer: a viewer that reads everything, a separate process
* crowds: memory, first screen and delays with many tasks; its program is crowd_app
* startup: how long a person waits for a command, for the dashboard's first data, for the answer to a key
* report: text for a terminal, and docs/cost.md
* table: how fast the dashboard's table repaints (`python -m benchmarks.table`)
"""
