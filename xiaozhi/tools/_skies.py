"""The weather codes of the WMO (table 4677, as Open-Meteo uses it) in words."""

from __future__ import annotations

from typing import Final

from xiaozhi.tools._words import said

_SKIES: Final = {
    0: ("晴", "clear"),
    1: ("晴间多云", "mostly clear"),
    2: ("多云", "partly cloudy"),
    3: ("阴", "overcast"),
    45: ("有雾", "foggy"),
    48: ("有雾凇", "foggy with rime"),
    51: ("有小毛毛雨", "light drizzle"),
    53: ("有毛毛雨", "drizzle"),
    55: ("有大毛毛雨", "heavy drizzle"),
    56: ("有冻毛毛雨", "light freezing drizzle"),
    57: ("有冻毛毛雨", "freezing drizzle"),
    61: ("小雨", "light rain"),
    63: ("中雨", "rain"),
    65: ("大雨", "heavy rain"),
    66: ("有冻雨", "light freezing rain"),
    67: ("有大冻雨", "heavy freezing rain"),
    71: ("小雪", "light snow"),
    73: ("中雪", "snow"),
    75: ("大雪", "heavy snow"),
    77: ("有雪粒", "snow grains"),
    80: ("有小阵雨", "light showers"),
    81: ("有阵雨", "showers"),
    82: ("有强阵雨", "violent showers"),
    85: ("有小阵雪", "light snow showers"),
    86: ("有大阵雪", "heavy snow showers"),
    95: ("有雷阵雨", "thunderstorms"),
    96: ("有雷阵雨和小冰雹", "thunderstorms with light hail"),
    99: ("有雷阵雨和冰雹", "thunderstorms with hail"),
}


def sky(code: int | None, language: str) -> str:
    """Say what a weather code means; "" if it means nothing we know."""
    words = _SKIES.get(-1 if code is None else code)
    return said(language, *words) if words else ""
