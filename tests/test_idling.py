"""When a connection has been idle too long."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.idling import Idling, Patience, Signs, Step
from xiaozhi.turn import State


class Watch(SynchronousTestCase):
    """A connection that is looked at whenever `Idling` asks for it."""

    def setUp(self) -> None:
        self.idling = Idling(Patience(), 0.0)
        self.now = 0.0
        self.state: State = "listening"
        self.stirred = self.sent = 0.0
        self.badge = self.awaits = False
        self.looks = 0
        self.next = 0.0

    def until(self, end: float, hears: bool = True) -> list[tuple[float, Step]]:
        """Let time pass; give what was done, the pongs left out. `hears`: sound comes in."""
        done: list[tuple[float, Step]] = []
        while self.next <= end:
            self.now = self.next
            if hears:
                self.idling.came = self.now
            signs = Signs(self.state, self.stirred, self.sent, self.badge, self.awaits)
            steps, self.next = self.idling.look(self.now, signs)
            self.looks += 1
            assert self.next > self.now
            for step in steps:
                self.sent = self.now
                if step == "lapse":
                    self.state = "idle"
                if step != "pong":
                    done.append((self.now, step))
        self.now = end
        return done

    def test_nobody_speaks(self) -> None:
        """After ten minutes without voice comes the farewell, before it a warning; each once."""
        self.assertEqual(self.until(2000), [(585, "warn"), (600, "farewell")])

    def test_few_looks(self) -> None:
        """A connection on which nothing happens is looked at once in 90 s."""
        self.until(580)
        self.assertLess(self.looks, 8)

    def test_somebody_speaks(self) -> None:
        """What is said begins the time anew, after a warning, too, and after a farewell."""
        self.until(590)
        self.stirred = 590
        self.assertEqual(self.until(1300), [(1175, "warn"), (1190, "farewell")])
        self.stirred = 1300
        self.assertEqual(self.until(1900), [(1885, "warn"), (1900, "farewell")])

    def test_something_is_due(self) -> None:
        """Nothing is closed while the user is to be told something; only a dialog ends."""
        self.awaits = True
        self.assertEqual(self.until(4000, hears=False), [])
        self.awaits, self.stirred = False, 4000
        self.assertEqual(self.until(4700), [(4585, "warn"), (4600, "farewell")])
        self.badge = self.awaits = True
        self.stirred = self.next = 4700
        self.assertEqual(self.until(6000), [(4715, "lapse")])

    def test_modes_with_patience(self) -> None:
        """A mode in which people are silent has three times the time."""
        self.until(300)
        self.idling.factor = 3.0
        self.assertEqual(self.until(1800), [(1785, "warn"), (1800, "farewell")])

    def test_late_clock(self) -> None:
        """Who is late with the warning leaves as much time after it."""
        self.next = 700.0
        self.assertEqual(self.until(800), [(700, "warn"), (715, "farewell")])

    def test_not_while_speaking(self) -> None:
        """No time runs while the server hears, thinks or speaks, however long that takes."""
        self.state, self.badge = "speaking", True
        self.assertEqual(self.until(3000, hears=False), [])
        self.state, self.stirred, self.badge = "listening", 3000, False
        self.assertEqual(
            self.until(4000, hears=False),
            [(3585, "warn"), (3600, "farewell"), (3660, "alarm"), (3670, "expire")],
        )

    def test_no_message(self) -> None:
        """Where no message comes at all the connection ends even if the farewell did not end it."""
        self.idling.factor = 3.0
        self.assertEqual(self.until(700, hears=False), [(660, "alarm"), (670, "expire")])

    def test_any_message(self) -> None:
        """Any message within the last ten seconds cancels."""
        self.idling.factor = 3.0
        self.assertEqual(self.until(669, hears=False), [(660, "alarm")])
        self.idling.came = 669
        self.assertEqual(self.until(1339, hears=False), [(1329, "alarm"), (1339, "expire")])

    def test_dialog(self) -> None:
        """A badge's dialog is over after a quarter of a minute of silence, in any mode of it."""
        self.badge = True
        self.assertEqual(self.until(507), [(15, "lapse")])
        self.state, self.stirred = "listening", 507.0
        self.assertEqual(self.until(540), [(522, "lapse")])

    def test_downlink(self) -> None:
        """Who was sent nothing for 90 s is sent something harmless; while it is idle, too."""
        signs = Signs("idle", 0, 0)
        self.assertEqual(self.idling.look(89, signs), ([], 90))
        steps, again = self.idling.look(90, signs)
        self.assertEqual((steps, again), (["pong"], 180))
