"""The migrations, oldest first. None is ever changed: there are databases it made."""
