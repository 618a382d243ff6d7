"""How minds hear of each other: who is told what, within which bounds."""
