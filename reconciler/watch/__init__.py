"""The watch: `loop` turns, `triggers` wake it, `patience` holds it back; `watched` and `eventlog` are what it leaves for others."""
