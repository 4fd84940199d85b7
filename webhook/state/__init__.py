"""The cluster as it is: read from files, or listed and watched."""
