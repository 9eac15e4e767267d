MINE = "json"
