"""Which time is kept where: cities, by the names they are called by, and time zones."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

import tzlocal

from xiaozhi.errors import Unavailable
from xiaozhi.mistakes import Mistake

_CITIES = """
Asia/Shanghai: china beijing shanghai guangzhou shenzhen chengdu hangzhou wuhan xian nanjing
Asia/Shanghai: chongqing 中国 北京 上海 广州 深圳 成都 杭州 武汉 西安 南京 重庆 天津 苏州
Asia/Hong_Kong: hongkong 香港
Asia/Macau: macau macao 澳门
Asia/Taipei: taipei taiwan 台北 台湾
Asia/Tokyo: tokyo osaka kyoto japan 东京 大阪 京都 日本
Asia/Seoul: seoul korea southkorea 首尔 韩国
Asia/Singapore: singapore 新加坡
Asia/Kuala_Lumpur: kualalumpur malaysia 吉隆坡 马来西亚
Asia/Bangkok: bangkok thailand 曼谷 泰国
Asia/Ho_Chi_Minh: hochiminhcity saigon hanoi vietnam 胡志明市 河内 越南
Asia/Jakarta: jakarta 雅加达
Asia/Manila: manila philippines 马尼拉 菲律宾
Asia/Kolkata: india delhi newdelhi mumbai bangalore kolkata calcutta 印度 新德里 德里 孟买
Asia/Kolkata: 班加罗尔 加尔各答
Asia/Karachi: karachi pakistan 卡拉奇 巴基斯坦
Asia/Dubai: dubai abudhabi 迪拜 阿布扎比
Asia/Riyadh: riyadh 利雅得
Asia/Tehran: tehran 德黑兰
Asia/Jerusalem: jerusalem telaviv israel 耶路撒冷 特拉维夫 以色列
Europe/Istanbul: istanbul turkey 伊斯坦布尔 土耳其
Europe/Moscow: moscow 莫斯科
Europe/London: london uk england britain 伦敦 英国
Europe/Dublin: dublin ireland 都柏林 爱尔兰
Europe/Lisbon: lisbon portugal 里斯本 葡萄牙
Europe/Paris: paris france 巴黎 法国
Europe/Berlin: berlin munich hamburg frankfurt germany 柏林 慕尼黑 汉堡 法兰克福 德国
Europe/Madrid: madrid barcelona spain 马德里 巴塞罗那 西班牙
Europe/Rome: rome milan italy 罗马 米兰 意大利
Europe/Amsterdam: amsterdam netherlands 阿姆斯特丹 荷兰
Europe/Brussels: brussels belgium 布鲁塞尔 比利时
Europe/Zurich: zurich geneva switzerland 苏黎世 日内瓦 瑞士
Europe/Vienna: vienna austria 维也纳 奥地利
Europe/Prague: prague 布拉格
Europe/Warsaw: warsaw poland 华沙 波兰
Europe/Stockholm: stockholm sweden 斯德哥尔摩 瑞典
Europe/Oslo: oslo norway 奥斯陆 挪威
Europe/Copenhagen: copenhagen denmark 哥本哈根 丹麦
Europe/Helsinki: helsinki finland 赫尔辛基 芬兰
Europe/Athens: athens greece 雅典 希腊
Europe/Kyiv: kyiv kiev ukraine 基辅 乌克兰
Africa/Cairo: cairo egypt 开罗 埃及
Africa/Johannesburg: johannesburg capetown 约翰内斯堡 开普敦
Africa/Nairobi: nairobi 内罗毕
Africa/Lagos: lagos 拉各斯
America/New_York: newyork washington boston miami 纽约 华盛顿 波士顿 迈阿密
America/Chicago: chicago houston dallas 芝加哥 休斯敦 达拉斯
America/Denver: denver 丹佛
America/Los_Angeles: losangeles sanfrancisco seattle sandiego lasvegas 洛杉矶 旧金山 西雅图
America/Los_Angeles: 拉斯维加斯
America/Toronto: toronto montreal 多伦多 蒙特利尔
America/Vancouver: vancouver 温哥华
America/Mexico_City: mexicocity 墨西哥城
America/Sao_Paulo: saopaulo riodejaneiro 圣保罗 里约热内卢
America/Argentina/Buenos_Aires: buenosaires 布宜诺斯艾利斯
Pacific/Honolulu: honolulu hawaii 檀香山 夏威夷
Pacific/Auckland: auckland wellington 奥克兰 惠灵顿
Australia/Sydney: sydney canberra 悉尼 堪培拉
Australia/Melbourne: melbourne 墨尔本
Australia/Perth: perth 珀斯
Australia/Brisbane: brisbane 布里斯班
UTC: utc gmt
"""


def _zones() -> Mapping[str, str]:
    zones: dict[str, str] = {}
    for line in _CITIES.strip().splitlines():
        zone, _, names = line.partition(":")
        zones |= dict.fromkeys(names.split(), zone)
    return MappingProxyType(zones)


_ZONES = _zones()


def zone_of(place: str) -> zoneinfo.ZoneInfo | None:
    """Find the time zone of a city or a small country, or one by its name ("Europe/Paris")."""
    key = "".join(sign for sign in place.casefold() if sign.isalnum()).removesuffix("市")
    try:
        return zoneinfo.ZoneInfo(_ZONES.get(key) or place.strip().replace(" ", "_"))
    except (ValueError, OSError, KeyError):  # no such zone, or no such file, or no name of a file
        return None


def own_zone(name: str, now: datetime) -> zoneinfo.ZoneInfo:
    """Find the zone that was configured, or the system's if `name` is empty.

    It is `now` by the system's clock. Raises Unavailable if nobody can tell.
    """
    try:
        zone = zoneinfo.ZoneInfo(name or tzlocal.get_localzone_name() or "UTC")
        if name or now.astimezone(zone).utcoffset() == now.utcoffset():
            return zone
        # It is told as in TZ=CST-8. The zones called so count west of Greenwich.
        return zoneinfo.ZoneInfo(f"Etc/GMT{-_hours(now):+d}")
    except (ValueError, OSError, KeyError) as error:
        raise Unavailable(
            f"the system's time zone is not known ({error}): set timezone",
            f"不知道系统的时区（{error}）：请设置 timezone",
        ) from error


def _hours(now: datetime) -> int:
    """Tell the offset from UTC, if it is in whole hours; else raise ValueError."""
    hours, rest = divmod(now.utcoffset() or timedelta(), timedelta(hours=1))
    if rest:
        raise ValueError(f"UTC{now:%z}")
    return hours


def check_zone(name: str) -> None:
    """Raise Mistake unless `name` is a time zone's, or empty."""
    if name and zone_of(name) is None:
        raise Mistake("no_zone")
