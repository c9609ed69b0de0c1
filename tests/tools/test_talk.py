"""Ending the conversation, and going on as somebody else."""

from __future__ import annotations

from tests.tools.cases import Listener, ToolCase, call, failure
from xiaozhi.tools.talk import Kit, Settings


class TalkTests(ToolCase):
    def setUp(self) -> None:
        super().setUp()
        self.kit = Kit(Settings(), self.room)

    async def test_end(self) -> None:
        """It says goodbye in the user's language, and the connection is closed after it."""
        for language, said in (("zh", "好的，再见。"), ("en", "Goodbye."), ("vi", "Goodbye.")):
            listener = Listener(language=language)
            outcome = await call(self.kit, "end_conversation", listener)
            self.assertEqual((outcome.say, outcome.final, listener.parted), (said, True, True))

    async def test_role(self) -> None:
        """A role that there is is taken; others are said to be unknown."""
        listener = Listener(language="zh", roles=("英语老师",))
        self.assertTrue((await call(self.kit, "change_role", listener, name="厨师")).failed)
        self.assertEqual(listener.role, "")
        outcome = await call(self.kit, "change_role", listener, name=" 英语老师 ")
        self.assertEqual(outcome.say, "好的，我现在是英语老师了。")
        self.assertEqual(listener.role, "英语老师")
        await failure(self.kit, "change_role", listener)
