MINE = "monitor"
