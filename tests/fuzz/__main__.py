"""The command: `python -m tests.fuzz --seconds 60`, `--replay FILE`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import Length, run, summary
from tests.fuzz.registry import SHARES, build


def main() -> int:
    """Run harnesses, or one input again; return 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of the processor, shared out to the harnesses (60)")
    parser.add_argument("--executions", type=int, default=1 << 60, help="the most of each harness")
    parser.add_argument("--harness", action="append", choices=[*SHARES], help="one alone; may be given several times")
    parser.add_argument("--seed", type=int, default=1, help="another one gives other inputs (1)")
    parser.add_argument("--out", type=Path, default=Path("fuzzed"), help="folder of inputs and summary.json (fuzzed)")
    parser.add_argument("--replay", type=Path, nargs="+", help="files HARNESS-..., each run once, in this process")
    chosen = parser.parse_args()
    if chosen.replay:
        return max(replay(path, chosen.harness) for path in chosen.replay)
    began, names = time.monotonic(), chosen.harness or [*SHARES]
    share = chosen.seconds / sum(SHARES[name] for name in names)
    tallies = run(
        {name: Length(share * SHARES[name], chosen.executions) for name in names},
        chosen.seed,
        chosen.out,
        lambda line: print(f"{time.monotonic() - began:7.0f} s  {line}", file=sys.stderr, flush=True),
    )
    found = summary(tallies)
    print(json.dumps(found, indent=1))
    return 1 if found["faults"] else 0


def replay(path: Path, names: list[str] | None) -> int:
    """Run an input again; say what became of it. A fault is raised, or ends this process."""
    name = (
        names[0] if names else next((n for n in sorted(SHARES, key=len, reverse=True) if path.name.startswith(n)), "")
    )
    harness = build(name)
    began = time.process_time()
    print(f"{path}: {harness.run(path.read_bytes())} in {time.process_time() - began:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
