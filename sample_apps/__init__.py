"""Small asyncio programs that each show one behaviour, and declare what a monitor must see of it."""
