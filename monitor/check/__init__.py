"""Static analysis: finds outdated and risky asyncio in source text, without running it."""
