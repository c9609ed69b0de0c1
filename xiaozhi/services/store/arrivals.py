"""What is asked about every device that comes: what is known of it, and do its tokens hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import ServiceError
from xiaozhi.services.store.gathering import Gathering
from xiaozhi.services.store.lately import Lately
from xiaozhi.services.store.records import DeviceRecord, Seen, Standing

Arrival = tuple[Seen, float, int | None]
"""What a device tells of itself, when, and how many devices there may be."""


class Arrivals:
    """Ask about many that come at once together, and not again about one that comes at once again.

    See `Store` for what each verb does; whatever changes a device must tell `changed`.
    """

    def __init__(
        self,
        note: Callable[[Sequence[Arrival]], Deferred[list[DeviceRecord | ServiceError]]],
        look_up: Callable[[Sequence[str]], Deferred[list[Standing | ServiceError]]],
        now: Callable[[], float],
    ) -> None:
        """Have `note` write arrivals down and `look_up` find standings; `now` is a clock's."""
        self._notes = Gathering(note)
        self._looks = Gathering(look_up)
        self._records: Lately[DeviceRecord] = Lately(now)
        self._standings: Lately[Standing] = Lately(now)

    def seen(self, arrival: Arrival) -> Deferred[DeviceRecord]:
        """Note it, and tell what is known now."""
        return self._records.learn(arrival[0].id, lambda: self._notes.add(arrival))

    def came(self, arrival: Arrival) -> Deferred[DeviceRecord]:
        """Note it, unless it was noted a moment ago and there is no news in it."""
        device, now, _ = arrival
        known = self._records.recall(device.id)
        if known is not None and known.told(device, now) is known:
            return succeed(known)
        return self.seen(arrival)

    def standing(self, device_id: str) -> Deferred[Standing]:
        """Tell what is held against its tokens."""
        known = self._standings.recall(device_id)
        if known is not None:
            return succeed(known)
        return self._standings.learn(device_id, lambda: self._looks.add(device_id))

    def changed(self, result: Any, device_id: str) -> Any:
        """Believe nothing from before a device was changed, or may have been; pass `result`."""
        self._records.forget(device_id)
        self._standings.forget(device_id)
        return result
