"""Runs both sides by turns: compare.py --program SPEED --work DIR --out FILE [--quick]

Writes what was measured to FILE, as JSON. benches/compare.sh calls it.
"""

import argparse
import datetime
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Nothing of the user's own settings goes into a run, and nothing is sent.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | {
    "WANDB_SILENT": "true",
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass
class Effort:
    kinds: list
    rounds: int
    seconds: float  # of each repetition of a sustained run
    ticks: int
    logs: int
    pixels: int
    png: tuple  # pictures of the long run, pictures of a block
    jpg: tuple
    trainings: int  # rounds of the training loop: short and many, since what is sought is small
    steps: int


FULL = Effort(
    kinds=["photo-256", "photo-32", "photo-512", "photo-1024", "noise-256", "flat-256", "digits-32"],
    rounds=5,
    seconds=2.5,
    ticks=20,
    logs=4,
    pixels=40,
    png=(10_000, 10_000),
    jpg=(100_000, 10_000),
    trainings=15,
    steps=100,
)
QUICK = Effort(
    kinds=["photo-256", "photo-32", "flat-256", "digits-32"],
    rounds=2,
    seconds=0.6,
    ticks=8,
    logs=3,
    pixels=15,
    png=(1_600, 1_600),
    jpg=(4_800, 480),
    trainings=5,
    steps=30,
)


class Worker:
    """One side, waiting for commands."""

    def __init__(self, command, inputs, work, env=None):
        self.process = subprocess.Popen(
            [*command, str(inputs), str(work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Python writes a picture to a temporary file first, and moves it if it can.
            env=ENVIRONMENT | {"TMPDIR": str(work.parent)} | (env or {}),
        )

    def ask(self, **command):
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise RuntimeError(f"it had ended before {command}") from error
        answer = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']}")
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Bench:
    program: list
    work: Path
    effort: Effort
    results: dict = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def ours(self, **env):
        return Worker(self.program, self.work / "inputs", self.work / "ours", env)

    def theirs(self):
        return Worker([sys.executable, str(HERE / "sdk.py")], self.work / "inputs", self.work / "theirs")

    def say(self, text):
        elapsed = int(time.monotonic() - self.began)
        print(f"[{elapsed // 60}:{elapsed % 60:02}] {text}", file=sys.stderr, flush=True)

    def callers(self, ours, theirs):
        kind, rounds = "photo-256", []
        for _ in range(self.effort.rounds):
            drained = ours.ask(do="caller", kind=kind, repeats=self.effort.ticks)
            paced = ours.ask(do="caller", kind=kind, repeats=self.effort.ticks, pause=0.1)
            python = theirs.ask(do="caller", kind=kind, repeats=self.effort.logs)
            rounds.append({"drained": drained, "paced": paced, "python": python})
        return rounds

    def idle(self, ours):
        return [ours.ask(do="idle", ticks=5_000_000) for _ in range(self.effort.rounds)]

    def pixels(self, ours):
        return [
            ours.ask(do="pixels", kind="photo-1024", repeats=self.effort.pixels) for _ in range(self.effort.rounds)
        ]

    def sustained(self, ours, theirs):
        for file_type in ("png", "jpg"):
            for kind in self.effort.kinds:
                name = f"sustained {kind} {file_type}"
                self.measure(name, lambda: self.sustained_kind(ours, theirs, kind, file_type))

    def sustained_kind(self, ours, theirs, kind, file_type):
        what = {"do": "sustained", "kind": kind, "file_type": file_type}
        worst = self.check(ours, theirs, what) if file_type == "png" else None
        sides = {"ours": ours, "python": theirs}
        rows = {name: self.rows(side, what) for name, side in sides.items()}
        rounds = [
            {name: side.ask(**what, rows=rows[name], keep=False) for name, side in sides.items()}
            for _ in range(self.effort.rounds)
        ]
        batch = json.loads((self.work / "inputs/inputs.json").read_text())[kind]["shape"][0]
        return {"rounds": rounds, "worst": worst, "batch": batch}

    def check(self, ours, theirs, what):
        """How far the pixels of each side are from the input."""
        worst = {}
        for name, side in (("ours", ours), ("python", theirs)):
            run = Path(side.ask(**what, rows=1, keep=True)["dir"])
            worst[name] = theirs.ask(do="check", kind=what["kind"], dir=str(run))["worst"]
            shutil.rmtree(run)
        return worst

    def rows(self, side, what):
        """How many rows keep a side busy for as long as a repetition should last."""
        rows = 1
        while True:
            spent = side.ask(**what, rows=rows, keep=False)["seconds"]
            wanted = math.ceil(rows * self.effort.seconds / spent)
            if spent > self.effort.seconds / 4:
                return wanted
            rows = min(wanted, rows * 10)

    def long(self, file_type, size):
        pictures, block = size
        with self.ours() as ours:
            return ours.ask(do="long", kind="photo-256", file_type=file_type, pictures=pictures, block=block)

    def training(self, **env):
        rounds = []
        with self.ours(**env) as ours:
            ours.ask(do="training", steps=self.effort.steps, sampling="logged")
            for index in range(self.effort.trainings):
                ways = ["off", "computed", "logged"]
                ways = ways[index % 3 :] + ways[: index % 3]
                rounds.append({way: ours.ask(do="training", steps=self.effort.steps, sampling=way) for way in ways})
        return rounds

    def measure(self, name, run):
        self.say(name)
        try:
            self.results[name] = run()
        except RuntimeError as error:
            self.say(f"not measured: {error}")
            self.results.setdefault("errors", {})[name] = str(error)

    def run(self):
        # The long runs first: they take no part in turns, and the machine is still quiet.
        self.measure("long png", lambda: self.long("png", self.effort.png))
        self.measure("long jpg", lambda: self.long("jpg", self.effort.jpg))
        self.measure("training", self.training)
        self.measure("training one thread", lambda: self.training(RAYON_NUM_THREADS="1"))
        with self.ours() as ours, self.theirs() as theirs:
            self.results["versions"] = theirs.ask(do="versions")
            self.measure("idle", lambda: self.idle(ours))
            self.measure("pixels", lambda: self.pixels(ours))
            self.measure("callers", lambda: self.callers(ours, theirs))
            self.sustained(ours, theirs)
        self.results["seconds"] = time.monotonic() - self.began


def busy_seconds():
    """Of all processors since the machine started, and of this program's children."""
    fields = [int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in Path("/proc/stat").read_text().split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = fields
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return user + nice + system + irq + softirq + steal, children.ru_utime + children.ru_stime


def machine():
    def first(path, name):
        lines = Path(path).read_text().splitlines() if Path(path).exists() else []
        found = [line.split(sep, 1)[1].strip(' "') for line in lines for sep in ":=" if line.startswith(name) and sep in line]
        return found[0] if found else None

    def output(*command):
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE).stdout.strip()

    return {
        "cpu": first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory": first("/proc/meminfo", "MemTotal"),
        "os": f"{first('/etc/os-release', 'PRETTY_NAME') or platform.system()}, Linux {platform.release()}",
        "rust": output("rustc", "--version"),
        "commit": output("git", "describe", "--always", "--dirty"),
        "date": datetime.date.today().isoformat(),
        "load": os.getloadavg()[0],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    (args.work / "inputs").mkdir(parents=True)
    subprocess.run([sys.executable, str(HERE / "inputs.py"), str(args.work / "inputs")], check=True)
    bench = Bench([str(args.program)], args.work, QUICK if args.quick else FULL)
    bench.results = {"machine": machine(), "quick": args.quick}
    all_before, own_before = busy_seconds()
    bench.run()
    all_after, own_after = busy_seconds()
    others = (all_after - all_before) - (own_after - own_before)
    bench.results["others"] = others / bench.results["seconds"] / os.cpu_count()
    args.out.write_text(json.dumps(bench.results, indent=1))


if __name__ == "__main__":
    main()
