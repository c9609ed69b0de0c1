"""Emotions: the emojis and the markers that name them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from xiaozhi import moods

DEVICE = (
    "neutral happy laughing funny sad angry crying loving embarrassed surprised shocked thinking "
    "winking cool relaxed delicious kissy confident sleepy silly confused"
)


class EmojiTests(TestCase):
    def test_every_emotion_a_device_knows(self) -> None:
        """The emotions are the 21 a device has a face for."""
        self.assertEqual(set(moods.EMOTIONS), set(DEVICE.split()))
        self.assertEqual(len(moods.EMOTIONS), 21)

    def test_there_and_back(self) -> None:
        """Every emotion has an emoji, which stands for that emotion alone."""
        for emotion in moods.EMOTIONS:
            self.assertEqual(moods.of_emoji(moods.emoji_of(emotion)), emotion)

    def test_no_emoji_stands_for_two(self) -> None:
        """No emoji is in the tables of two emotions, or twice in one."""
        emojis = "".join(moods._EMOJIS.values())
        self.assertEqual(sorted(emojis), sorted(set(emojis)))

    def test_common_ones(self) -> None:
        """Faces, hearts and gestures have an emotion; flags, digits and letters none."""
        for emoji, emotion in {
            "😂": "funny",
            "😭": "crying",
            "❤️": "loving",
            "❤️‍🔥": "loving",
            "👍🏽": "happy",
            "🤦‍♀️": "embarrassed",
            "🤷": "confused",
            "😋": "delicious",
            "💪🏿": "confident",
            "🇨🇳": None,
            "🚗": None,
            "1️⃣": None,
            "a": None,
            "": None,
        }.items():
            self.assertEqual(moods.of_emoji(emoji), emotion, emoji)

    def test_unknown_emotion(self) -> None:
        """An emotion nobody knows is shown as the neutral one."""
        self.assertEqual(moods.emoji_of("ecstatic"), moods.emoji_of("neutral"))


class MarkerTests(TestCase):
    def test_no_word_names_two_emotions(self) -> None:
        """No word is in the tables of two emotions, or twice in one."""
        words = [word for row in moods._WORDS.values() for word in row.split(", ")]
        self.assertEqual(sorted(words), sorted(set(words)))
        self.assertFalse(set(words) & set(moods.EMOTIONS))

    def test_words(self) -> None:
        """Emotions are named in several languages, with or without label."""
        for word, emotion in {
            "happy": "happy",
            "Giggles": "laughing",
            "开心": "happy",
            "調皮": None,
            "难过": "sad",
            "buồn ngủ": "sleepy",
            "照れ": "embarrassed",
            "emotion: sad": "sad",
            "情绪：愤怒": "angry",
            "mood=cool": "cool",
            "emotion": None,
            "table": None,
            "": None,
        }.items():
            self.assertEqual(moods.of_word(word), emotion, word)

    def test_markers(self) -> None:
        """A marker stands in brackets or stars, and ends with them."""
        for text, marker in {
            "[happy] Hi": (7, "happy"),
            "(开心)你好": (4, "happy"),
            "（难过）唉": (4, "sad"),
            "【思考】嗯": (4, "thinking"),
            "*laughs* Well": (8, "laughing"),
            "[emotion: cool]": (15, "cool"),
        }.items():
            self.assertEqual(moods.marker(text), marker, text)

    def test_what_may_become_a_marker(self) -> None:
        """The beginning of a marker has to be waited for."""
        for text in (
            "[",
            "*",
            "(开",
            "[hap",
            "[happy",
            "[Emo",
            "[emotion",
            "[emotion:",
            "[mood: s",
        ):
            self.assertEqual(moods.marker(text), (0, ""), text)

    def test_what_is_no_marker(self) -> None:
        """Other brackets are not waited for."""
        for text in (
            "",
            "Hi",
            "[q",
            "(By",
            "[table]",
            "*Note*",
            "(happy birthday",
            "[[",
            "[]",
            "()",
        ):
            self.assertIsNone(moods.marker(text), text)

    @settings(deadline=None)
    @given(st.text(alphabet="[]()*hapy sd:e情绪：开心（）", max_size=40))
    def test_never_recalled(self, text: str) -> None:
        """What is said of a text still holds when more of it is known."""
        said = next((said for n in range(1, len(text) + 1) if (said := _decided(text[:n]))), None)
        if said is not None:
            self.assertEqual(_decided(text), said)


def _decided(text: str) -> str | moods.Marker | None:
    marker = moods.marker(text)
    if marker is None:
        return "no marker"
    return marker if marker.length else None
