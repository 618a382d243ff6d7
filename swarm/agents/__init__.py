"""Traders: what one is shown, what it is asked, what it answered, and what that comes to as orders."""
