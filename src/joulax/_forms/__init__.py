"""The forms in which a table is read: terminal, notebook, paper, file."""
