"""All that outlives a connection or talks to the world."""
