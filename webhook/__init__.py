"""netadmit: a validating admission webhook that judges what a NetworkPolicy or Service does when it is applied."""

__version__ = "0.1.0"
