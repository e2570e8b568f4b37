"""Files to one canonical tree: read, checked against the schema, merged, every short form made long.

Needs no privilege and no kernel. `layers` says which files, `source` reads one, `schema` checks it, `expand` is the way
through all of them. Every part of the tree remembers its place, so that whatever is wrong later can still be shown.
"""
