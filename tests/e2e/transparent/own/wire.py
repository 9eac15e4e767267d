MINE = "wire"
