"""Language models behind one protocol: messages and a JSON schema in, text and token usage out; no market in sight."""
