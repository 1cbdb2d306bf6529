"""One reader under the fuzzer, in a process of its own: python -m fuzz.one TARGET [libFuzzer's options]."""

import sys

import atheris

with atheris.instrument_imports(include=["agent", "central", "wire"]):
    from fuzz.targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]

    def read(data: bytes) -> None:
        try:
            target.read(data)
        except target.refuses_with:
            return

    atheris.Setup(sys.argv, read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
