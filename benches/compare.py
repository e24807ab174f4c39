"""Runs our benchmark and PyTorch's, line by line in one sitting, and prints the ratios.

    ~/peers/bin/python benches/compare.py [--threads N] [--rounds N] [--write] [name ...]

with the Python of `peers.py` (its first lines say how to set it up). Each line is measured `rounds` times on
either side, ours and theirs in turn, because other work and the clock of a machine drift; the ratio is of the
medians. `--write` puts the table into README.md.
"""
import argparse, datetime, os, platform, re, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
LINES = ["forward", "train", "generate", "cache", "sae", "crosscoder", "grpo", "memory"]
# What each line cannot do without, in GFLOP: products of weights and tokens (twice that again backward), attention
# over half of the pairs, one dense encoding per dictionary step (its backward is sparse); what is copied, in GB.
TOKEN = 2 * (4 * (4 * 256 * 256 + 3 * 256 * 768) + 256 * 512) / 1e9
ATTENTION = 4 * 4 * 128 * 128 / 2 * 64 * 4 * 16 / 1e9
FLOOR = {
    "forward 16x128": 2048 * TOKEN + ATTENTION,
    "train step 16x128 (forward+backward+AdamW)": 3 * 2048 * TOKEN + 3.5 * ATTENTION,
    "sample 64 x (32 prompt + 96 new)": 64 * 127 * TOKEN,
    "capture resid_post of every layer 16x128": 2048 * TOKEN + ATTENTION,
    "capture every hook point 16x128": 2048 * TOKEN + ATTENTION,
    "steer one layer 16x128": 2048 * TOKEN + ATTENTION,
    "TopK SAE step d=256 F=8192 k=32 B=2048": 2 * 2048 * 256 * 8192 / 1e9,
    "BatchTopK crosscoder step 3xd=256 F=4096 k=32 B=2048": 2 * 2048 * 768 * 4096 / 1e9,
}
LINE = re.compile(r"^(.*?) +([0-9.]+) (ms|MiB)\b")


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {m[1]: (float(m[2]), m[3]) for m in map(LINE.match, output.splitlines()) if m}


def rate(threads):
    """GFLOP/s of a large product in PyTorch: the rate that floors are counted at."""
    code = ("import torch, time; a, b = torch.randn(2, 1024, 1024); times = []\n"
            "for _ in range(40):\n start = time.perf_counter(); a @ b; times.append(time.perf_counter() - start)\n"
            "print(2 * 1024 ** 3 / min(times) / 1e9)")
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return float(subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout)


def processor():
    try:
        found = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        found = platform.processor()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", help="the benchmark's executable; built by cargo where it is left out")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("names", nargs="*", default=LINES)
    arguments = parser.parse_args()
    ours = arguments.ours
    if not ours:
        built = subprocess.run(["cargo", "bench", "--bench", "engine", "--no-run"], check=True, stderr=subprocess.PIPE, text=True, cwd=HERE)
        ours = re.search(r"Executable .*\((.*)\)", built.stderr)[1]
        ours = os.path.join(os.path.dirname(HERE), ours)
    peak = rate(arguments.threads)
    measured = {}
    for name in arguments.names:
        for _ in range(arguments.rounds):
            for side, command in enumerate(([ours, name], [sys.executable, os.path.join(HERE, "peers.py"), name])):
                for line, (value, unit) in run(command, arguments.threads).items():
                    measured.setdefault(line, (unit, [], []))[1 + side].append(value)
        print(f"{name} done", file=sys.stderr, flush=True)
    table = ["| work | PyTorch | deltascope | ratio | floor | of the floor |", "|---|---|---|---|---|---|"]
    for line, (unit, mine, theirs) in measured.items():
        if not mine or not theirs:
            continue
        mine, theirs = statistics.median(mine), statistics.median(theirs)
        floor = FLOOR.get(line)
        floor = floor and floor / peak * 1e3
        limit = f"{floor:.1f} ms | {floor / mine:.0%}" if floor else "| "
        ratio = f"{theirs / mine:.2f}x" if unit == "ms" else f"{mine / theirs:.2f} of it"
        table.append(f"| {line} | {theirs:.1f} {unit} | {mine:.1f} {unit} | {ratio} | {limit} |")
    when = datetime.date.today().isoformat()
    heading = f"{when}, {processor()}, {arguments.threads} threads, products at {peak:.0f} GFLOP/s in PyTorch; median of {arguments.rounds} rounds."
    text = "\n".join([heading, "", *table])
    print(text)
    if arguments.write:
        path = os.path.join(HERE, "README.md")
        page = open(path).read()
        page = re.sub(r"(<!-- measured -->\n).*?(<!-- end -->)", lambda m: m[1] + text + "\n" + m[2], page, flags=re.S)
        open(path, "w").write(page)


if __name__ == "__main__":
    main()
