"""Where utterances begin and end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.endpointing import Endpointer, Hush, Limits, Speech

PIECE = 0.02


class Room:
    """Sound reaching an endpointer in real time."""

    def __init__(self, limits: Limits | None = None, by_device: bool = False) -> None:
        self.now = 100.0
        # But for tests of their own, pauses are of no interest.
        self.ears = Endpointer(limits or Limits(pause=0))
        self.ears.arm(self.now, by_device)

    def hear(self, pattern: str, seconds: float) -> list[tuple[str, float]]:
        """Repeat `pattern` ("v" voice, "." none) for `seconds`; tell what was found, and when."""
        found = []
        for index in range(round(seconds / PIECE)):
            self.now += PIECE
            voiced = pattern[index % len(pattern)] == "v"
            edge = self.ears.push(0.9 if voiced else 0.1, PIECE, self.now)
            if edge is not None:
                found.append((type(edge).__name__, round((index + 1) * PIECE, 2)))
        return found


class BySilence(SynchronousTestCase):
    def test_speech_begins(self) -> None:
        """Voice for 160 ms begins speech."""
        self.assertEqual(Room().hear("v", 1.0), [("Speech", 0.16)])

    def test_clicks(self) -> None:
        """Clicks and doors begin nothing."""
        room = Room()
        self.assertEqual(room.hear("v....", 10.0), [])
        self.assertEqual(room.hear("vvvvv..............", 10.0), [])
        self.assertLess(abs(room.ears.voiced - (10.0 / 5 + 10.0 * 5 / 19)), 0.2)

    def test_speech_ends(self) -> None:
        """A second of silence ends an utterance."""
        room = Room()
        room.hear("v", 2.0)
        self.assertEqual(room.hear(".", 3.0), [("Hush", 1.0)])
        self.assertEqual(room.hear(".", 3.0), [])

    def test_slow_speaker(self) -> None:
        """Pauses of 0.9 s inside a sentence do not end it."""
        room = Room()
        room.hear("v", 1.0)
        for _ in range(5):
            self.assertEqual(room.hear(".", 0.9), [])
            self.assertEqual(room.hear("v", 0.4), [])
        self.assertEqual(room.hear(".", 2.0), [("Hush", 1.0)])

    def test_pause(self) -> None:
        """Half a second of silence may be the end; if voice comes again, it was not."""
        room = Room(Limits())
        room.hear("v", 1.0)
        self.assertEqual(room.hear(".", 0.9), [("Pause", 0.5)])
        self.assertEqual(room.hear("v", 0.4), [("Resume", 0.06)])
        self.assertEqual(room.hear(".", 2.0), [("Pause", 0.5), ("Hush", 1.0)])
        self.assertEqual(room.hear("v", 0.4), [("Speech", 0.16)])

    def test_pause_by_device(self) -> None:
        """Who holds a button says when it is over."""
        room = Room(Limits(), by_device=True)
        room.ears.begin(room.now)
        self.assertEqual(room.hear("v", 1.0) + room.hear(".", 3.0), [])

    def test_noise_in_silence(self) -> None:
        """Clicks in the silence do not keep an utterance open."""
        room = Room()
        room.hear("v", 1.0)
        self.assertEqual(room.hear(".........v", 3.0), [("Hush", 1.0)])

    def test_window_is_configurable(self) -> None:
        """The silence window is what the operator sets."""
        room = Room(Limits(silence=0.3))
        room.hear("v", 1.0)
        self.assertEqual(room.hear(".", 1.0), [("Hush", 0.3)])

    def test_longest(self) -> None:
        """Endless speech is cut at the longest utterance, and goes on as another."""
        room = Room(Limits(longest=5.0))
        self.assertEqual(
            room.hear("v", 11.0),
            [
                ("Speech", 0.16),
                ("Hush", 5.16),
                ("Speech", 5.32),
                ("Hush", 10.32),
                ("Speech", 10.48),
            ],
        )

    def test_longest_counts_what_was_heard_before(self) -> None:
        """An utterance that goes on is as long as all of it."""
        room = Room(Limits(longest=5.0))
        room.ears.begin(room.now, length=4.0)
        self.assertEqual(room.hear("v", 1.5)[0], ("Hush", 1.0))


class WithoutSound(SynchronousTestCase):
    def test_sound_stops_coming(self) -> None:
        """When the sound stops coming, an utterance ends 3 s after the last voice."""
        room = Room()
        room.hear("v", 1.0)
        deadline = room.ears.deadline()
        assert deadline is not None
        self.assertAlmostEqual(deadline, room.now + 3.0)
        self.assertIsNone(room.ears.overdue(room.now + 2.9))
        self.assertEqual(room.ears.overdue(room.now + 3.0), Hush())
        self.assertIsNone(room.ears.deadline())
        self.assertIsNone(room.ears.overdue(room.now + 9.0))

    def test_nothing_under_way(self) -> None:
        """While nobody speaks there is no deadline."""
        room = Room()
        room.hear(".", 1.0)
        self.assertIsNone(room.ears.deadline())

    def test_longer_silence_window(self) -> None:
        """The fallback never cuts a silence window that was set longer."""
        room = Room(Limits(silence=5.0))
        room.hear("v", 1.0)
        self.assertIsNone(room.ears.overdue(room.now + 5.0))
        self.assertEqual(room.ears.overdue(room.now + 5.5), Hush())

    def test_stalled_network(self) -> None:
        """Sound that comes late, all at once, is no pause: silence is counted on its own clock."""
        room = Room()
        room.hear("v", 1.0)
        room.now += 2.5
        self.assertEqual(room.hear("v", 1.0), [])


class ByButton(SynchronousTestCase):
    def test_held_button(self) -> None:
        """While the button is held and sound comes, no pause ends the utterance."""
        room = Room(by_device=True)
        room.ears.begin(room.now)
        self.assertEqual(room.hear("v", 1.0) + room.hear(".", 20.0) + room.hear("v", 1.0), [])
        deadline = room.ears.deadline()
        assert deadline is not None
        self.assertAlmostEqual(deadline, room.now + 5.0)

    def test_lost_release(self) -> None:
        """A release that never came is made up for 5 s after the last sound."""
        room = Room(by_device=True)
        room.ears.begin(room.now)
        room.hear("v", 1.0)
        self.assertIsNone(room.ears.overdue(room.now + 4.9))
        self.assertEqual(room.ears.overdue(room.now + 5.0), Hush())

    def test_no_sound_at_all(self) -> None:
        """A button held without any sound does not hang."""
        room = Room(by_device=True)
        room.ears.begin(room.now)
        self.assertEqual(room.ears.overdue(room.now + 5.0), Hush())


class Pieces(SynchronousTestCase):
    def test_any_length(self) -> None:
        """Pieces of 10 to 60 ms give the same edges, to a piece."""
        for piece in (0.01, 0.02, 0.03, 0.032, 0.06):
            ears, now, edges = Endpointer(Limits(pause=0)), 0.0, []
            for voiced, seconds in ((1, 2.0), (0, 2.0)):
                for _ in range(round(seconds / piece)):
                    now += piece
                    edge = ears.push(float(voiced), piece, now)
                    if edge:
                        edges.append((edge, now))
            self.assertEqual([edge for edge, _ in edges], [Speech(), Hush()], piece)
            self.assertLess(abs(edges[0][1] - 0.16), 0.041)
            self.assertLess(abs(edges[1][1] - 3.0), 0.07)
