"""The checker: names, types, kinds of route, paths and data, each in a module of its own.

It reads the tree that the parser built, writes types and meanings into it for the generator, and
turns settings into values. It never stops at a mistake.
"""
