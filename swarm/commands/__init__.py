"""The commands of the command line, by what they are about; each asks others to do the work and prints."""
