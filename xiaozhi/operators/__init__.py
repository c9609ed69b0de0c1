"""The commands of those who run a server: `xiaozhi devices`, `activate` and `token`."""
