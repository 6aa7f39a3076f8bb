"""User interface: the command line, the schedule of doit, output on the terminal."""
