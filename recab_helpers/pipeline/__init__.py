"""What people type: the doors, the command line that opens them, the notebooks behind them, and what they publish."""
