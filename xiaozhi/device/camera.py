"""The camera of the device: takes a photo, and sends it where the server wants photos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from twisted.internet.defer import Deferred

from xiaozhi.device.errors import DeviceError
from xiaozhi.device.http import post
from xiaozhi.device.mcp import Server, Tool, ToolError
from xiaozhi.device.ota import Profile

Manner = Literal["firmware", "py-xiaozhi"]
"""Whose way of sending it: in chunks, and half a minute's patience; or with its length, and ten
seconds'."""

_BOUNDARY: Final = "----ESP32_CAMERA_BOUNDARY"
_LARGEST: Final = 8192
"""Bytes of a reply; the firmware's HTTP client hangs at more."""


def photographer(
    reactor: Any,
    profile: Profile,
    server: Server,
    picture: Callable[[], bytes],
    manner: Manner = "firmware",
) -> Tool:
    """Make the tool that takes a photo: what `picture` gives, a JPEG."""

    async def upload(question: str) -> str:
        url, token = server.vision.get("url", ""), server.vision.get("token", "")
        if not url:
            raise ToolError("Image explain URL or token is not set")
        headers = {
            "Device-Id": profile.device_id,
            "Client-Id": profile.client_id,
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        chunked = manner == "firmware"
        try:
            status, told = await post(
                reactor, url, headers, _form(question, picture()), 30 if chunked else 10, chunked
            )
        except DeviceError as error:
            raise ToolError("Failed to connect to explain URL") from error
        if status != 200 or len(told) > _LARGEST:
            raise ToolError("Failed to upload photo")
        return told.decode("utf-8", "replace")

    return Tool(
        "self.camera.take_photo" if manner == "firmware" else "take_photo",
        "Take a photo and answer a question about it, when the user asks what is to be seen.",
        lambda arguments: Deferred.fromCoroutine(upload(arguments["question"])),
        {"question": {"type": "string"}},
    )


def _form(question: str, picture: bytes) -> list[bytes]:
    """Write the form, in the pieces in which the firmware sends it."""
    return [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="question"\r\n\r\n'
        f"{question}\r\n".encode(),
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="camera.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode(),
        *(picture[start : start + 4096] for start in range(0, len(picture), 4096)),
        f"\r\n--{_BOUNDARY}--\r\n".encode(),
    ]
