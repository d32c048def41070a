"""The law of this folder: it thinks. No I/O, no clock, no threads; whoever acts is handed in through a port."""
