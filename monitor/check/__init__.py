"""The static look: old-style and risky asyncio in source text, without running it."""
