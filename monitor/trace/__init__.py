"""Why tasks were late: from the events of a step ring to the parts of an age and the critical path. Pure, no I/O."""
