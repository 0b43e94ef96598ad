"""What runs inside a task's process: from the fork to the loop that moves the data."""
