"""Small asyncio programs that each show one behaviour, and say which."""
