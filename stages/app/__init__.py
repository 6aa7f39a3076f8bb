"""What a person calls: the command line, the schedule of doit, the terminal."""
