"""Pictures to be looked at."""

from __future__ import annotations

from base64 import b64decode
from typing import Final

JPEG: Final = b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1td"
    "hbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAMABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABAX/xAAUEAEA"
    "AAAAAAAAAAAAAAAAAAAA/8QAFAEBAAAAAAAAAAAAAAAAAAAABP/EABgRAAMBAQAAAAAAAAAAAAAAAAAEQoHB/9oADAMB"
    "AAIRAxEAPwCQSMSQ9O8FJ1h//9k="
)
"""A photo, 16 x 12: blue on the left, red on the right."""
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WEBP: Final = b"RIFF\x10\0\0\0WEBPVP8 " + bytes(range(256))
GIF: Final = b"GIF89a" + bytes(range(256))
