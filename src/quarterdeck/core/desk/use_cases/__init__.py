"""What the commands that change something do, and `!preview`: a file for each."""
