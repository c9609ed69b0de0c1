"""`python -m tests.fuzz.guided 100000`: frames by which atheris, guided by coverage, looks on."""

from __future__ import annotations

import sys


def main() -> None:
    """Try so many frames, where atheris can be had. It ends the process itself."""
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: skipped")
        return
    with atheris.instrument_imports(include=["xiaozhi.wire"]):
        from tests.fuzz import decoding
    atheris.Setup([sys.argv[0], f"-atheris_runs={sys.argv[1]}", *sys.argv[2:]], decoding.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
