"""Where the cluster's state comes from: files and folders, or list and watch."""
