"""What can be written in a routes.cfg, in words: the reference, the editor's hovers, its colours.

Everything is made of the function table and the grammar; only what the table cannot know, such as
the words of the grammar, is told here.
"""
