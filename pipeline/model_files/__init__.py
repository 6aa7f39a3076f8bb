"""Readers of one file format each, and how an operator reads one of its nodes."""
