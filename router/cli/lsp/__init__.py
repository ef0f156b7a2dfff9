"""`trunkline lsp`: what an editor asks about a routes.cfg, answered by the checker and the table.

Only server.py and command.py know of the Language Server Protocol; the rest is about text, places
in it and names. Lines and columns of those places count from 0, in characters.
"""
