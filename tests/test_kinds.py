"""Types in plain words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta
from msgspec import inspect as types
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.kinds import describe, sort


class KindTests(SynchronousTestCase):
    def test_describe(self) -> None:
        """A type is said in plain words of both languages."""
        cases: tuple[tuple[Any, str, str], ...] = (
            (int, "a whole number", "整数"),
            (float | None, "a number", "数字"),
            (int | str, "a whole number or text", "整数或文本"),
            (Annotated[int, Meta(ge=1)], "a whole number from 1", "不小于 1 的整数"),
            (
                Annotated[float, Meta(gt=0, le=4)],
                "a number above 0 to 4",
                "大于 0、不大于 4 的数字",
            ),
            (list[int], "a list of whole numbers", "整数的列表"),
            (
                list[Annotated[int, Meta(ge=1, le=9)]],
                "a list of whole numbers from 1 to 9",
                "不小于 1、不大于 9 的整数的列表",
            ),
            (dict[str, float], "a mapping of numbers", "值为数字的映射"),
            (dict[str, bool], "a mapping of true or false", "值为 true 或 false的映射"),
            (list[list[str]], "a list of lists of text", "文本的列表的列表"),
            (list[dict[str, int]], "a list of mappings of whole numbers", "值为整数的映射的列表"),
            (list[object], "a list of values", "任意值的列表"),
            (Literal["a", "b"], "one of a, b", "以下之一：a, b"),
            (Annotated[str, Meta(min_length=1)], "text, not empty", "非空文本"),
            (Annotated[str, Meta(pattern="^x$")], "text of the form ^x$", "文本（形如 ^x$）"),
            (object, "a value", "任意值"),
        )
        for kind, english, chinese in cases:
            described = describe(types.type_info(kind))
            self.assertEqual((str(described), described.said("zh")), (english, chinese))

    def test_sort(self) -> None:
        """So is what sort of thing a value is."""
        for value, english, chinese in (
            (True, "true or false", " true 或 false"),
            (1, "a whole number", "整数"),
            (1.5, "a number", "数字"),
            ("1", "text", "文本"),
            (None, "empty", "空"),
            ({}, "a mapping", "映射"),
            ([], "a list", "列表"),
        ):
            self.assertEqual((str(sort(value)), sort(value).said("zh")), (english, chinese))
