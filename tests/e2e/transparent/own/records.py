MINE = "records"
