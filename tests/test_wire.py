"""Bytes and JSON of devices."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi import messages, wire
from xiaozhi.errors import BadMessage

FIRMWARE_HELLO = {
    "type": "hello",
    "version": 3,
    "features": {"mcp": True, "glyph_push": False},
    "transport": "websocket",
    "audio_params": {"format": "opus", "sample_rate": 16000, "channels": 1, "frame_duration": 60},
}


def text(value: object) -> messages.Message:
    return wire.decode_text(json.dumps(value).encode())


class Text(SynchronousTestCase):
    def test_hello(self) -> None:
        """The firmware's hello tells its framing, its sound and what it can do."""
        self.assertEqual(
            text(FIRMWARE_HELLO),
            messages.Hello(3, messages.AudioParams("opus", 16000, 1, 60), frozenset({"mcp"})),
        )

    def test_loose_hello(self) -> None:
        """What a hello lacks, or fills with nonsense, takes its default."""
        for loose in (
            {"type": "hello"},
            {"type": "hello", "features": None, "audio_params": None, "version": None},
            {"type": "hello", "features": [], "audio_params": 7, "version": "x"},
            {"type": "hello", "audio_params": {"sample_rate": "fast", "frame_duration": -1}},
            {"type": "hello", "version": True, "audio_params": {"channels": 1e300}},
        ):
            self.assertEqual(text(loose), messages.Hello())

    def test_frame_duration(self) -> None:
        """A program may send frames of 20 ms, and say so as a float."""
        hello = text({"type": "hello", "audio_params": {"frame_duration": 20.0}})
        assert isinstance(hello, messages.Hello)
        self.assertEqual(hello.audio.frame_duration, 20)

    def test_listen(self) -> None:
        """Listening begins, ends, and is caused by a wake word."""
        for value, message in (
            ({"state": "start", "mode": "auto"}, messages.ListenStart("auto")),
            ({"state": "start", "mode": "manual"}, messages.ListenStart("manual")),
            ({"state": "start", "mode": "realtime"}, messages.ListenStart("realtime")),
            ({"state": "start"}, messages.ListenStart(None)),
            ({"state": "start", "mode": None}, messages.ListenStart(None)),
            ({"state": "start", "mode": ""}, messages.ListenStart(None)),
            ({"state": "stop"}, messages.ListenStop()),
            ({"state": "detect", "text": "你好小智"}, messages.Detect("你好小智")),
            ({"state": "detect", "text": 5}, messages.Detect("")),
            ({"state": "detect"}, messages.Detect("")),
        ):
            self.assertEqual(text({"type": "listen", "session_id": ""} | value), message)

    def test_small_ones(self) -> None:
        """Abort, heartbeats, bare integers, and what only others use."""
        self.assertEqual(text({"type": "abort"}), messages.Abort())
        self.assertEqual(
            text({"type": "abort", "reason": "wake_word_detected"}),
            messages.Abort("wake_word_detected"),
        )
        self.assertEqual(text({"type": "ping"}), messages.Ping())
        self.assertEqual(text({"type": "keepalive"}), messages.Ping())
        self.assertEqual(text(42), messages.Number(42))
        self.assertEqual(text({"type": "mystery"}), messages.Other("mystery"))

    def test_orders(self) -> None:
        """An operator's order has its action and its secret; what is missing is empty."""
        order = {"type": "server", "action": "restart", "content": {"secret": "x"}}
        self.assertEqual(text(order), messages.Order("restart", "x"))
        nonsense: tuple[object, ...] = (None, [], {"secret": 7})
        for content in nonsense:
            self.assertEqual(text({"type": "server", "content": content}), messages.Order())
        self.assertEqual(text({"type": "config_update", "config": 1}), messages.ConfigUpdate())

    def test_not_utf8(self) -> None:
        """An SSID may be any bytes: the message around it is understood."""
        raw = b'{"type":"listen","state":"detect","text":"\xff\xfeab"}'
        self.assertEqual(wire.decode_text(raw), messages.Detect("\ufffd\ufffdab"))

    def test_depth(self) -> None:
        """Brackets are counted where they nest, up to 32 levels, and not inside of texts."""
        for payload in (
            b'{"a":' * 31 + b"1" + b"}" * 31,
            b"[" + b"[],{}," * 5000 + b"0]",
            json.dumps('[{"' * 50 + "\\").encode(),
        ):
            message = wire.decode_text(b'{"type":"iot","payload":%b}' % payload)
            self.assertEqual(message, messages.Other("iot", known=True))

    def test_mcp(self) -> None:
        """JSON-RPC is read as an object, or as a text that is one; nonsense is ignored."""
        payload = {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}
        for written in (payload, json.dumps(payload)):
            self.assertEqual(text({"type": "mcp", "payload": written}), messages.Mcp(payload))
        deep = '{"a":' * 33 + "1" + "}" * 33
        nonsense: Any
        for nonsense in (None, 5, [], "", "[]", "5", '{"a"', deep):
            message = text({"type": "mcp", "payload": nonsense})
            self.assertEqual(message, messages.Other("mcp", known=True))

    def test_broken_errors(self) -> None:
        """The firmware does not escape the text of an error: it is read all the same."""
        for why in ('Unknown tool: a"b', "two\nlines", '"}}}', 'C:\\x "', "\x01", '"}}}"', ""):
            head = '{"session_id":"s1","type":"mcp","payload":{"jsonrpc":"2.0","id":7,"error":'
            frame = head + '{"message":"' + why + '"}}}'
            error = {"jsonrpc": "2.0", "id": 7, "error": {"message": why}}
            self.assertEqual(wire.decode_text(frame.encode()), messages.Mcp(error), why)
            self.assertRaises(BadMessage, wire.decode_text, frame[:-1].encode())

    def test_badges(self) -> None:
        """A badge shows itself by its hello, or by a message only badges send."""
        for raw, badge in (
            (b'{"type":"hello","features":{"badge":true}}', True),
            (b'{"type":"hello","features":{"mcp":true}}', False),
            (b'{"type":"ui.ack"}', True),
            (b'{"type":"iot"}', False),
        ):
            message = wire.decode_text(raw)
            assert isinstance(message, messages.Hello | messages.Other)
            self.assertEqual(message.badge, badge)

    def test_bad(self) -> None:
        """What cannot be understood says why, and names the field."""
        for raw, why in (
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b"[" * 100_000, "deeper than 32"),
            (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
            (b'{"a":[' * 17 + b"]}" * 17, "deeper than 32"),
            (b"[]", "object was expected"),
            (b"true", "object was expected"),
            (b"{}", "`type`"),
            (b'{"type":5}', "`type`"),
            (b'{"type":"listen"}', "`state`"),
            (b'{"type":"listen","state":"dance"}', "`state`"),
            (b'{"type":"listen","state":"start","mode":"loud"}', "`mode`"),
            (b'{"type":"listen","state":"start","mode":["auto"]}', "`mode`"),
        ):
            with self.assertRaises(BadMessage) as caught:
                wire.decode_text(raw)
            self.assertIn(why, str(caught.exception))


class Binary(SynchronousTestCase):
    def test_layouts(self) -> None:
        """Each version has its header, as the firmware lays it out."""
        packet = b"\xf8\x01\x02"
        self.assertEqual(wire.decode_binary(packet, 1), messages.Sound(packet))
        two = bytes.fromhex("0002 0000 00000000 00001234 00000003") + packet
        self.assertEqual(wire.decode_binary(two, 2), messages.Sound(packet))
        three = bytes.fromhex("00 00 0003") + packet
        self.assertEqual(wire.decode_binary(three, 3), messages.Sound(packet))
        self.assertEqual(wire.encode_binary(packet, 2, 0x1234), two)
        self.assertEqual(wire.encode_binary(packet, 3, 0x1234), three)
        self.assertEqual(wire.encode_binary(packet, 1, 0x1234), packet)

    def test_empty(self) -> None:
        """Empty frames are ordinary, in every version."""
        for version in (1, 2, 3):
            self.assertEqual(wire.decode_binary(b"", version), messages.Sound(b""))
            framed = wire.encode_binary(b"", version)
            self.assertEqual(wire.decode_binary(framed, version), messages.Sound(b""))

    def test_json_inside(self) -> None:
        """A payload marked as JSON is read as text."""
        body = b'{"type":"abort"}'
        self.assertEqual(
            wire.decode_binary(struct.pack(">BBH", 1, 0, len(body)) + body, 3), messages.Abort()
        )

    def test_longer_than_announced(self) -> None:
        """What follows the announced payload is cut off."""
        self.assertEqual(wire.decode_binary(b"\0\0\0\x01ab", 3), messages.Sound(b"a"))

    def test_bad(self) -> None:
        """Short headers, short payloads and unknown kinds are refused."""
        for version, raw in (
            (2, b"\0" * 15),
            (3, b"\0\0\0"),
            (3, b"\0\0\0\x05abc"),
            (3, b"\7\0\0\0"),
        ):
            with self.assertRaises(BadMessage):
                wire.decode_binary(raw, version)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
TYPES = st.sampled_from(["hello", "listen", "abort", "ping", "mcp", "iot", "x"])


class AnyInput(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.binary())
    def test_bytes(self, raw: bytes) -> None:
        """Any bytes give a message or BadMessage, and nothing else."""
        for decode in (
            wire.decode_text,
            lambda raw: wire.decode_binary(raw, 1),
            lambda raw: wire.decode_binary(raw, 2),
            lambda raw: wire.decode_binary(raw, 3),
        ):
            with contextlib.suppress(BadMessage):
                decode(raw)

    @settings(deadline=None)
    @given(
        TYPES,
        st.dictionaries(
            st.sampled_from(
                ["state", "mode", "text", "version", "features", "audio_params", "reason"]
            ),
            JSON,
        ),
    )
    def test_fields(self, kind: str, fields: dict[str, object]) -> None:
        """Any values in the known fields give a message or BadMessage."""
        with contextlib.suppress(BadMessage):
            text({"type": kind} | fields)

    @settings(deadline=None)
    @given(st.binary(max_size=2000), st.sampled_from([1, 2, 3]), st.integers(0, 2**40))
    def test_round_trip(self, packet: bytes, version: int, timestamp: int) -> None:
        """What is framed is unframed unchanged."""
        framed = wire.encode_binary(packet, version, timestamp)
        self.assertEqual(wire.decode_binary(framed, version), messages.Sound(packet))


class Down(SynchronousTestCase):
    def said(self, message: messages.Down) -> object:
        return json.loads(wire.encode(message, "s1"))

    def test_welcome(self) -> None:
        """The welcome has every field that any client reads."""
        self.assertEqual(
            self.said(messages.Welcome.declaring(1, messages.AudioParams("opus", 24000, 1, 60))),
            {
                "type": "hello",
                "session_id": "s1",
                "version": 1,
                "transport": "websocket",
                "audio_params": {
                    "format": "opus",
                    "sample_rate": 24000,
                    "channels": 1,
                    "frame_duration": 60,
                },
            },
        )

    def test_others(self) -> None:
        """The messages of a turn, as the contract has them."""
        for message, fields in (
            (messages.TTS_START, {"type": "tts", "state": "start"}),
            (messages.TTS_STOP, {"type": "tts", "state": "stop"}),
            (
                messages.Tts("sentence_start", "你好"),
                {"type": "tts", "state": "sentence_start", "text": "你好"},
            ),
            (messages.Stt("hi"), {"type": "stt", "text": "hi"}),
            (
                messages.Heard.at(1.2345, "hi"),
                {"type": "audio", "event": "transcription", "text": "hi", "ts": 1234},
            ),
            (messages.Llm("happy", "🙂"), {"type": "llm", "emotion": "happy", "text": "🙂"}),
            (messages.Pong(), {"type": "pong"}),
            (messages.Mcp({"id": 1}), {"type": "mcp", "payload": {"id": 1}}),
        ):
            self.assertEqual(self.said(message), fields | {"session_id": "s1"})

    def test_obeyed(self) -> None:
        """An order is answered by what it was, and by the trouble, if there was any."""
        order = messages.Order("restart" * 10, "secret")
        self.assertEqual(
            self.said(messages.Obeyed.to(order, message="done")),
            {
                "type": "server", "status": "success", "message": "done",
                "content": {"action": order.action[:40]}, "session_id": "s1",
            },
        )  # fmt: skip
        self.assertEqual(messages.Obeyed.to(order, "no").status, "error")
        self.assertEqual(messages.Obeyed.to(order, "no", "done").message, "no")
