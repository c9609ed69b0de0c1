"""How figures are summed up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.devices import Turn
from bench.playback import FRAME
from bench.results import HOLD, Gaps, Level, Results, Spread, Tools, percentile
from bench.sounds import SPOKEN
from bench.table import capacity, render
from bench.tools import Report, Timing
from bench.watch import Gap
from tests.bench.test_playback import paced


def level(devices: int, turns: list[Turn], cpu: float = 1.0) -> Level:
    return Level.of(
        turns,
        who="instant",
        devices=devices,
        cpu=cpu,
        others=0.0,
        window=1.14,
        client_late=[0.0, 0.0, 0.0],
        client_cpu=0.0,
    )


class Summing(SynchronousTestCase):
    def test_percentiles(self) -> None:
        """The nearest rank, from one value to a thousand."""
        self.assertEqual([percentile([7.0], share) for share in (0.0, 0.5, 1.0)], [7.0] * 3)
        thousand = [float(number) for number in range(1, 1001)]
        found = [percentile(thousand, share) for share in (0.5, 0.95, 0.999, 1.0)]
        self.assertEqual(found, [500.0, 950.0, 999.0, 1000.0])
        self.assertEqual(Spread.of([3.0, 1.0, 2.0]), Spread(2.0, 3.0, 3.0, 3.0, 3))
        self.assertEqual(Spread.of([]).count, 0)

    def test_tools(self) -> None:
        """What a tool adds is what comes beyond the median of turns without one."""
        singly = Report(
            {
                "plain": [Timing(0.01, 0.07), Timing(0.02, 0.08), Timing(0.01, 0.07)],
                "local": [Timing(0.0, 0.075)],
            },
            grammar=[Timing(0.002, 0.062)],
            echo=[Timing(0.001, 0.001)],
            requests=[0.003],
        )
        talk = [Timing(0.0, HOLD + number / 1000) for number in range(100)]
        found = Tools.of(singly, Report(talks=[talk]), [9000, 15000, 12000])
        self.assertAlmostEqual(found.added["local"].p50, 0.005)
        self.assertAlmostEqual(found.grammar.sounded.p50, 0.002)
        self.assertAlmostEqual(found.early.p50, 0.002)
        self.assertAlmostEqual(found.late.p50, 0.097)
        self.assertEqual((found.turns, found.sent), (100, (9000, 12000)))
        table = render(Results(tools=found), 1.0)
        self.assertIn("| tool of the local: added, p50 / p95 ms", table)
        self.assertIn("long talk, turns 96 to 100", table)

    def test_level(self) -> None:
        """Turns that came to no end are counted as lost, and those that did share the costs."""
        whole = Turn("spoken", asked=99.9, started=99.94, arrivals=paced(SPOKEN), over=True)
        dry = Turn("spoken", 99.9, 99.94, [100.0, *paced(SPOKEN - 1, 101.0)], over=True)
        broken = Turn("spoken", asked=99.9, arrivals=paced(SPOKEN - 1), over=True)
        found = level(2, [whole, dry, broken])
        self.assertEqual((found.turns, found.lost, found.stalls, found.spoilt), (2, 1, 1, 2))
        self.assertAlmostEqual(found.dry, 1.0 - FRAME)
        self.assertEqual(found.cpu, 0.5)
        self.assertAlmostEqual(found.first.p50, 0.1)
        self.assertAlmostEqual(found.hold.p50, 0.06)

    def test_capacity(self) -> None:
        """The most devices are those before the first stall, whatever comes after."""
        fine = [Turn("spoken", arrivals=paced(SPOKEN), over=True)]
        dry = [Turn("spoken", arrivals=[100.0, *paced(SPOKEN - 1, 101.0)], over=True)]
        self.assertEqual(capacity([level(50, fine), level(100, fine)]), (100, None))
        levels = [level(50, fine), level(100, dry), level(150, fine)]
        self.assertEqual(capacity(levels), (50, 100))

    def test_gaps_have_causes(self) -> None:
        """The worst gap within the time is named by what took most of it."""
        gaps = [
            Gap(1.0, 9.0, stack=("before.py:1 f",)),
            Gap(2.0, 0.03, collecting=0.029, stack=("a.py:1 f",)),
            Gap(2.5, 0.02, waiting=0.019, stack=("a.py:1 f",)),
            Gap(2.6, 0.01, stack=("a.py:1 f", "b.py:2 g")),
        ]
        found = Gaps.within(gaps, 1.5, 3.0)
        self.assertEqual(found.spread.most, 0.03)
        causes = [gap.cause for gap in found.worst]
        self.assertIn("garbage collection", causes[0])
        self.assertIn("no processor", causes[1])
        self.assertEqual(causes[2], "a.py:1 f < b.py:2 g")

    def test_aims_are_shown(self) -> None:
        """An aim that is not reached is said so, and fails nothing."""
        text = render(Results(connections=10.0, start_usual=[0.5]), 1.04)
        self.assertRegex(text, r"connect.*\b10\b.*>= 600.*not yet")
        self.assertRegex(text, r"twistd.*0\.50.*<= 1\.2.*ok")
