"""Certificates for the webhook: issuing and keeping them. Knows nothing of the webhook itself."""
