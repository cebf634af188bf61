"""The drawn street from which the demo pair is made."""
