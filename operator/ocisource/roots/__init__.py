"""The public trusted root: shipped, refreshed by TUF in the background, with the last good copy on disk."""
