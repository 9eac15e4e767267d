MINE = "settings"
