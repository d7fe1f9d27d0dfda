"""Grade the analysis on thousands of drawn tests whose truth is known."""
