"""Forms with files in them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.pictures import JPEG
from xiaozhi.services.web.multipart import MOST, NoForm, fields

TYPE = "multipart/form-data; boundary=----ESP32_CAMERA_BOUNDARY"
EDGE = b"------ESP32_CAMERA_BOUNDARY"


def form(**parts: bytes) -> bytes:
    """Write a form as the firmware does."""
    return (
        b"".join(
            b'%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (EDGE, name.encode(), content)
            for name, content in parts.items()
        )
        + EDGE
        + b"--\r\n"
    )


class Forms(SynchronousTestCase):
    def test_firmware(self) -> None:
        """The firmware's form: a question, and a photo."""
        body = (
            EDGE + b'\r\nContent-Disposition: form-data; name="question"\r\n\r\n'
            + "这是什么？".encode() + b"\r\n"
            + EDGE + b'\r\nContent-Disposition: form-data; name="file"; filename="camera.jpg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n" + EDGE + b"--\r\n"
        )  # fmt: skip
        found = fields(TYPE, body)
        self.assertEqual(found, {"question": "这是什么？".encode(), "file": JPEG})

    def test_others(self) -> None:
        """Other programs quote the boundary, or not the names, and write before the form."""
        body = (
            b"hello\r\n--x y\r\ncontent-disposition: FORM-DATA; filename=name; name=file\r\n"
            b"\r\n\r\n--x y--"
        )
        self.assertEqual(
            fields('Multipart/Form-Data; charset=x; boundary="x y"', body), {"file": b""}
        )

    def test_no_forms(self) -> None:
        """What is no form is said to be none."""
        whole = form(file=JPEG)
        for kind, body in (
            ("", whole),
            ("application/json", whole),
            ("multipart/form-data", whole),
            (TYPE, b""),
            (TYPE, whole[:-6]),
            (TYPE, whole[:60]),
            (TYPE, EDGE + b"\r\n" + b"x" * 5000 + whole),
            (TYPE, form(**{f"f{n}": b"" for n in range(MOST + 1)})),
        ):
            self.assertRaises(NoForm, fields, kind, body)

    @settings(deadline=None)
    @given(st.binary(max_size=400), st.binary(max_size=40))
    def test_any_content(self, file: bytes, question: bytes) -> None:
        """Whatever is in the parts comes out as it went in."""
        found = fields(TYPE, form(question=question, file=file))
        self.assertEqual(found, {"question": question, "file": file})

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes(self, body: bytes) -> None:
        """Any bytes are a form, or none."""
        for data in (body, EDGE + body, form(file=b"x").replace(b"x", body)):
            try:
                fields(TYPE, data)
            except NoForm:
                continue
