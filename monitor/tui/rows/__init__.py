"""The rows of each table, chosen and sorted from the store."""
