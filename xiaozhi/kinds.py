"""What a value has to be, and what it is: types in plain words of Chinese and English."""

from __future__ import annotations

from functools import reduce
from typing import Any

from msgspec import inspect as types

from xiaozhi.mistakes import Words, words


def bare(kind: types.Type) -> types.Type:
    """Strip `kind` of its annotations and of a None beside it."""
    if isinstance(kind, types.Metadata):
        return bare(kind.type)
    if isinstance(kind, types.UnionType):
        rest = [one for one in kind.types if not isinstance(one, types.NoneType)]
        return bare(rest[0]) if len(rest) == 1 else kind
    return kind


def named(kind: types.Type) -> types.Type | None:
    """Tell what is under each key of a mapping; None if `kind` is no such mapping."""
    return bare(kind.value_type) if isinstance(kind, types.DictType) else None


def describe(kind: types.Type, many: bool = False) -> Words:
    """Say in plain words what a value of `kind` is, or what `many` of them are."""
    s = "s" if many else ""
    match bare(kind):
        case types.BoolType():
            return words("true_false")
        case types.IntType() as number:
            return words(f"whole{s}", bounds=bounds(number))
        case types.FloatType() as number:
            return words(f"number{s}", bounds=bounds(number))
        case types.StrType(min_length=low, max_length=high, pattern=pattern):
            size = words("size", limit=high) if high is not None else ""
            form = words("form", pattern=pattern) if pattern else ""
            return words("some_text" if low else "text", size=size, form=form)
        case types.LiteralType(values=values):
            return words("one_of", values=", ".join(str(value) for value in values))
        case (
            types.ListType()
            | types.VarTupleType()
            | types.SetType()
            | types.FrozenSetType() as several
        ):
            return words(f"list{s}_of", items=describe(several.item_type, many=True))
        case types.DictType(value_type=content):
            return words(f"mapping{s}_of", items=describe(content, many=True))
        case types.StructType():
            return words(f"mapping{s}")
        case types.UnionType(types=choices):
            described = (describe(choice, many) for choice in choices)
            return reduce(lambda one, other: words("either", one=one, other=other), described)
        case _:
            return words(f"value{s}")


def bounds(number: types.IntType | types.FloatType) -> Words | str:
    """Say between which limits a number must be; "" if it may be any."""
    limits = [
        words(key, limit=limit)
        for key, limit in (
            ("from", number.ge),
            ("above", number.gt),
            ("to", number.le),
            ("below", number.lt),
        )
        if limit is not None
    ]
    match limits:
        case [low, high]:
            return words("bounds", low=low, high=high)
        case [bound]:
            return words("bound", bound=bound)
    return ""


def sort(value: Any) -> Words:
    """Say in plain words what sort of thing `value` is."""
    match value:
        case bool():
            return words("true_false")
        case int():
            return words("whole", bounds="")
        case float():
            return words("number", bounds="")
        case str():
            return words("text", size="", form="")
        case None:
            return words("empty")
        case dict():
            return words("mapping")
        case _:
            return words("list")
