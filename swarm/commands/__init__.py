"""The commands of the command line, by what they are about. Each reads its options, asks others to work, and prints."""
