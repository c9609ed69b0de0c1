"""The settings: frozen structs, each handed to the part of the server it is for.

`config.py` fills them from the file and the environment and checks them; `manual.py` writes
the commented file and the reference from them. So a key, its type, its bounds, its default and
its explanation are said here only. `${NAME}` in a default stands for the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from xiaozhi import languages
from xiaozhi.choices import ByMode, Chosen, Wish
from xiaozhi.hosting import ManagerApi, Server, Store
from xiaozhi.section import Section
from xiaozhi.services.auth.settings import Auth
from xiaozhi.services.mcp.settings import Mcp
from xiaozhi.services.vision import Settings as Vision
from xiaozhi.upkeep import Log, Metrics


class Activation(Section, frozen=True):
    """How a device becomes somebody's: a code it shows is entered by an operator."""

    required: Annotated[
        bool | None,
        Meta(
            description="Ask devices to be activated. If empty, where activation decides who "
            "gets a token: auth.mode token or mixed. If false there, a device that is not "
            "activated boots, but without a token."
        ),
    ] = None
    message: Annotated[
        str,
        Meta(
            description="What a device shows until it is activated; {code} stands for its code. "
            "If empty, the command to run, in Chinese or English.",
            max_length=200,
        ),
    ] = ""


class Audio(Section, frozen=True):
    """The sound sent to devices. What they send may be any Opus."""

    sample_rate: Annotated[
        Literal[8000, 12000, 16000, 24000, 48000],
        Meta(description="Samples per second (Hz), a rate of Opus. Badges want 16000."),
    ] = 24000
    frame_duration: Annotated[
        Literal[20, 40, 60], Meta(description="Length of an Opus frame, in milliseconds.")
    ] = 60
    framing: Annotated[
        Literal[1, 2, 3],
        Meta(
            description="Binary framing the devices are told to use: 1 bare packets, 2 with "
            "timestamps, 3 with a short header. Each is served as it does."
        ),
    ] = 1
    bitrate: Annotated[
        int, Meta(description="Opus bits per second for one device.", ge=6000, le=128_000)
    ] = 32000
    complexity: Annotated[
        int,
        Meta(
            description="Opus effort. 1 at 32000 bit/s sounds like 5 at 24000 and costs less than "
            "half of the CPU; 6 is the best that costs no more than 5.",
            ge=0,
            le=10,
        ),
    ] = 1


class Listen(Section, frozen=True):
    """When an utterance begins and ends."""

    silence_ms: Annotated[
        int,
        Meta(
            description="Silence that ends an utterance, in milliseconds. A slow speaker's pauses "
            "inside a sentence stay mostly below a second; a longer one is mended, since speech "
            "that goes on before the answer has begun joins the same utterance.",
            ge=200,
            le=5000,
        ),
    ] = 1000
    pause_ms: Annotated[
        int,
        Meta(
            description="Silence after which recognition begins, in case the utterance is over, so "
            "that its text is there when silence_ms have passed; in milliseconds. If the user goes "
            "on, it was in vain. 0 never begins early.",
            ge=0,
            le=5000,
        ),
    ] = 500
    vad_fallback_ms: Annotated[
        int,
        Meta(
            description="Where voice is detected, an utterance is over at the latest so long "
            "after the last voiced sound, even if no more sound comes (a network that died, a "
            "device that sends nothing in silence); in milliseconds. Never before silence_ms.",
            ge=500,
            le=60_000,
        ),
    ] = 3000
    manual_listen_fallback_ms: Annotated[
        int,
        Meta(
            description="An utterance the device never ended (a lost button release) ends so "
            "long after the last sound received; in milliseconds.",
            ge=500,
            le=60_000,
        ),
    ] = 5000
    max_utterance_s: Annotated[
        int,
        Meta(
            description="Longest utterance, in seconds: then it is recognised as is.", ge=5, le=60
        ),
    ] = 60
    wakeup_words: Annotated[
        tuple[str, ...],
        Meta(
            description="Wake words: no questions by themselves, and cut from the front of what "
            "was said. Case, blanks and punctuation do not matter."
        ),
    ] = (
        "你好小智",
        "小智你好",
        "小智小智",
        "喵喵同学",
        "你好小鑫",
        "Hi 乐鑫",
        "Hello Xiaozhi",
        "Hi ESP",
        "Jarvis",
        "Alexa",
    )
    enable_greeting: Annotated[
        bool,
        Meta(description="Answer a wake word with a spoken greeting. Badges are not greeted."),
    ] = True
    enable_stt_message: Annotated[
        bool,
        Meta(
            description="Send badges what was understood as `stt` messages, too; they are told it "
            "as `audio` messages in any case. Other devices show it, and are always sent it."
        ),
    ] = False
    exit_commands: Annotated[
        tuple[str, ...],
        Meta(
            description="What a user says to end a talk: the server says goodbye and closes the "
            "connection. Case, blanks and punctuation do not matter."
        ),
    ] = (
        "退出",
        "关闭",
        "再见",
        "拜拜",
        "退下吧",
        "你退下吧",
        "goodbye",
        "bye",
        "bye bye",
        "exit",
        "that is all",
        "that's all",
    )


class Idle(Section, frozen=True):
    """When a connection on which nothing happens is closed."""

    close_connection_no_voice_time: Annotated[
        int,
        Meta(
            description="Seconds without anything said after which a connection is closed; a "
            "minute more for one on which no message comes at all.",
            ge=60,
            le=86_400,
        ),
    ] = 600
    idle_close_grace_seconds: Annotated[
        int, Meta(description="So many seconds before that a badge is warned.", ge=5, le=30)
    ] = 15
    dialog_idle_timeout_ms: Annotated[
        int,
        Meta(
            description="Silence after which a badge's dialog is over, until the next wake word; "
            "in milliseconds. Other devices cannot be told, so they are heard on.",
            ge=3000,
            le=600_000,
        ),
    ] = 15_000


class EndPrompt(Section, frozen=True):
    """What is said before an idle connection is closed."""

    enable: Annotated[
        bool, Meta(description="Say goodbye. If not, the connection is closed silently.")
    ] = True
    prompt: Annotated[
        str,
        Meta(
            description="What is said; if empty, a phrase in the user's language.", max_length=500
        ),
    ] = ""


Intent = Literal["function_call", "intent_llm", "nointent"]
"""Who decides that a tool is called: the model that answers, one asked before, nobody."""


class Role(Section, frozen=True):
    """Somebody else the assistant can be."""

    name: Annotated[str, Meta(description="What users call the role.", min_length=1, max_length=80)]
    prompt: Annotated[
        str,
        Meta(
            description="What the model is told about its part; if empty, as for the assistant.",
            max_length=20_000,
        ),
    ] = ""
    voice: Annotated[
        Wish | None,
        Meta(
            description="The voice it speaks with: one of `tts`, by its alias, perhaps with other "
            "settings; if empty, the usual.",
            extra={"kind": "tts"},
        ),
    ] = None
    model: Annotated[
        Wish | None,
        Meta(
            description="The model it thinks with, as in `llm_by_mode`; if empty, that for chat.",
            extra={"kind": "llm"},
        ),
    ] = None


class Assistant(Section, frozen=True):
    """Who answers."""

    intent: Annotated[
        Intent,
        Meta(
            description="Who decides that a tool is called: the model that answers "
            "(function_call), the one for the purpose `intent`, asked before (intent_llm, for "
            "models that cannot call functions), or nobody (nointent)."
        ),
    ] = "function_call"

    roles: Annotated[
        tuple[Role, ...],
        Meta(description="Roles that users can have it take, by asking for them."),
    ] = ()
    name: Annotated[
        str,
        Meta(
            description="What the assistant is called; if empty, 小智 in Chinese and Xiaozhi "
            "in other languages.",
            max_length=80,
        ),
    ] = ""
    prompt: Annotated[
        str,
        Meta(
            description="What the language model is told about its part, at the head of every "
            "conversation. {name} stands for the assistant's name; there are {role}, {language}, "
            "{device}, {date}, {weekday} and {time}, too, but what changes is better left to the "
            "end, where the server puts it.",
            max_length=20_000,
        ),
    ] = (
        "You are {name}, a warm and quick-witted voice assistant in a small speaking device.\n"
        "Your answers are spoken aloud: say the essential in one to three short sentences.\n"
        "Answer in the language the user speaks.\n"
        "Write plain sentences only: no lists, headings, emoji, links or code.\n"
        "What you hear comes from speech recognition: overlook its slips, and ask back if in doubt."
    )
    history_tokens: Annotated[
        int,
        Meta(
            description="About how much of a conversation the model is reminded of, in tokens. "
            "What is older is summed up.",
            ge=0,
            le=32_000,
        ),
    ] = 2000
    history_turns: Annotated[
        Annotated[int, Meta(ge=0, le=100)] | None,
        Meta(
            description="Exchanges the model is reminded of at most; if empty, history_tokens "
            "alone decides."
        ),
    ] = None

    def name_in(self, language: str) -> str:
        """Tell the assistant's name in `language` (a primary subtag)."""
        return self.name or ("小智" if language == "zh" else "Xiaozhi")


class Config(Section, frozen=True, kw_only=True):
    """All settings. Each part is handed down by itself, never the whole."""

    # The engines come first, since other parts name them.
    vad: Annotated[
        tuple[Chosen, ...],
        Meta(description="Speech or other sound: the first engine that can be had is used."),
    ]
    asr: Annotated[
        tuple[Chosen, ...],
        Meta(description="Speech to text: the first engine that can serve is used."),
    ]
    llm: Annotated[
        tuple[Chosen, ...],
        Meta(description="Language models: the first engine that can serve is used."),
    ]
    tts: Annotated[
        tuple[Chosen, ...],
        Meta(description="Text to speech: the first engine that can serve is used."),
    ]
    memory: Annotated[
        tuple[Chosen, ...],
        Meta(
            description="What is remembered of users from one talk to the next: the first engine "
            "that can be had is used. none remembers nothing."
        ),
    ]
    tools: Annotated[
        tuple[Chosen, ...],
        Meta(description="What the assistant can do: each tool with its settings, or false."),
    ]
    server: Annotated[
        Server, Meta(description="Where the server listens and how devices reach it.")
    ] = Server()
    store: Annotated[
        Store, Meta(description="Where devices, activations, tokens and memories are kept.")
    ] = Store()
    auth: Annotated[Auth, Meta(description="Who may connect.")] = Auth()
    activation: Annotated[Activation, Meta(description="How a device becomes somebody's.")] = (
        Activation()
    )
    audio: Annotated[Audio, Meta(description="The sound sent to devices.")] = Audio()
    listen: Annotated[Listen, Meta(description="When an utterance begins and ends.")] = Listen()
    idle: Annotated[
        Idle, Meta(description="When a connection on which nothing happens is closed.")
    ] = Idle()
    end_prompt: Annotated[
        EndPrompt, Meta(description="What is said before an idle connection is closed.")
    ] = EndPrompt()
    assistant: Annotated[Assistant, Meta(description="Who answers.")] = Assistant()
    llm_by_mode: Annotated[
        ByMode,
        Meta(description="Which language model thinks for which purpose, before those of `llm`."),
    ] = ByMode()
    mcp: Annotated[Mcp, Meta(description="Tools of MCP servers.")] = Mcp()
    vision: Annotated[Vision, Meta(description="The model that looks at photos.")] = Vision()
    log: Annotated[Log, Meta(description="What is written about what happens.")] = Log()
    metrics: Annotated[
        Metrics, Meta(description="Numbers about the server, and whether it is well.")
    ] = Metrics()
    manager_api: Annotated[ManagerApi, Meta(description="Where a key used to be.")] = msgspec.field(
        default=ManagerApi(), name="manager-api"
    )

    @property
    def secret(self) -> str:
        """What an operator's message must know; "" if none is obeyed."""
        return self.server.secret or self.manager_api.secret

    def language(self, environ: Mapping[str, str]) -> str:
        """Tell the language of the house, as a primary subtag."""
        if self.server.language != "auto":
            return languages.primary(self.server.language)
        return languages.of_environment(environ)

    def state_path(self, environ: Mapping[str, str]) -> Path:
        """Tell the folder for what the server keeps; it need not exist yet."""
        if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
            return Path(given)
        home = Path(environ.get("HOME") or Path.home())
        if self.server.state:
            state = self.server.state
            return home / state[2:] if state.startswith("~/") else Path(state).absolute()
        base = Path(environ.get("XDG_STATE_HOME", ""))
        return (base if base.is_absolute() else home / ".local/state") / "xiaozhi"
