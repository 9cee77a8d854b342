"""What a run needs in memory, disk and steps, before it is paid for."""
