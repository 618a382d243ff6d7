"""Shows a run as it goes on, or once it is over, on a page in a browser, and takes what somebody does to it."""
