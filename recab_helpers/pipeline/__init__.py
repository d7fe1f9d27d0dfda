"""The doors that people type: command line, notebooks, publishing."""
