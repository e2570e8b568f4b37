"""One file for each command: gather inputs, call the core, hand the result to a renderer.

A command's module has `run(args, console) -> int` and is imported only when it was chosen.
"""
