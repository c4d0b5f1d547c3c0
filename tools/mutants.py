#!/usr/bin/env python3
"""All mutants of cargo-mutants in one build, each switched on by a number in the environment.

    tools/mutants.py COPY list     --package sarb-labels [--file 'crates/labels/src/metrics/**']... [--in-diff FILE]
    tools/mutants.py COPY build    --package sarb-labels [--optimize 1] [--test integration]
    tools/mutants.py COPY test     [--minutes 60] [--memory-gb 6]
    tools/mutants.py COPY report

cargo-mutants builds the crate once for each mutant, which is seconds to minutes; here the crate is built once with every
mutant in it, `if on(17) { a - b } else { a + b }`, and a mutant costs what the tests that reach it take. COPY is a
folder for a copy of the repository; its source is rewritten, its tests are not. `list` asks `cargo mutants` for the
mutants; `build` leaves out those that do not compile (cargo-mutants calls them unviable), by the compiler's own
messages; `test` runs every test alone once, notes which mutants it reaches, and then runs each mutant under the tests
that reach it, quickest first, until one fails; `report` prints the counts of each module and the survivors.

What is in a constant or in a function that returns `impl Trait` cannot be switched while the program runs; `report`
counts it as "alone", to be given to `cargo mutants` itself (tools/mutants.sh).
Needs cargo-mutants 27 and `pip install tree-sitter tree-sitter-rust`. Linux only.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The path by which both crates and the program find the switch.
ON = "::sarb_labels::mutant_switch::on"
SWITCH = """
//! Which mutant is on, and which were reached.
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static ACTIVE: OnceLock<u32> = OnceLock::new();
static REACHED: OnceLock<Option<std::sync::Mutex<std::fs::File>>> = OnceLock::new();
static SEEN: [AtomicBool; %d] = [const { AtomicBool::new(false) }; %d];

/// Whether this mutant is on.
#[inline(never)]
pub fn on(mutant: u32) -> bool {
    if !SEEN[mutant as usize].load(Relaxed) && !SEEN[mutant as usize].swap(true, Relaxed) {
        let file = REACHED.get_or_init(|| {
            let path = std::env::var_os("MUTANTS_REACHED")?;
            std::fs::OpenOptions::new().create(true).append(true).open(path).ok().map(std::sync::Mutex::new)
        });
        if let Some(file) = file {
            let _ = file.lock().unwrap().write_all(format!("{mutant}\\n").as_bytes());
        }
    }
    *ACTIVE.get_or_init(|| std::env::var("MUTANT").ok().and_then(|id| id.parse().ok()).unwrap_or(u32::MAX)) == mutant
}
"""


# --- list ----------------------------------------------------------------------------------------------------------


def list_mutants(copy, args):
    if copy.exists():
        shutil.rmtree(copy)
    copy.mkdir(parents=True)
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in tracked.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    command = ["cargo", "mutants", "--dir", str(ROOT), "--list", "--json", "--package", args.package]
    for pattern in args.file:
        command += ["--file", pattern]
    for pattern in args.exclude:
        command += ["--exclude", pattern]
    if args.in_diff:
        command += ["--in-diff", args.in_diff]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode != 0:
        sys.exit(listed.stderr)
    mutants = json.loads(listed.stdout)
    for number, mutant in enumerate(mutants):
        mutant["id"] = number
        mutant.pop("diff", None)
    save(copy, "mutants.json", mutants)
    shutil.copytree(copy, copy / "unchanged", ignore=lambda folder, names: ["unchanged"] if folder == str(copy) else [])
    print(f"{len(mutants)} mutants in {len({m['file'] for m in mutants})} files")


def save(copy, name, value):
    (copy / name).write_text(json.dumps(value, indent=1))


def load(copy, name):
    return json.loads((copy / name).read_text())


# --- build: rewriting ----------------------------------------------------------------------------------------------


class Source:
    """A file of Rust with places where mutants are."""

    def __init__(self, text):
        import tree_sitter
        import tree_sitter_rust
        self.text = text.encode()
        self.lines = text.split("\n")
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line.encode()) + 1)
        self.starts = starts
        self.tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language())).parse(self.text)
        # (start, end) of an expression -> its mutants as (id, text in place of it)
        self.sites = collections.defaultdict(list)
        # offset -> text put in there
        self.inserts = collections.defaultdict(list)
        # (start, end) of a match arm's pattern -> conditions
        self.arms = collections.defaultdict(lambda: {"deleted": [], "true": [], "false": []})

    def offset(self, place):
        line = self.lines[place["line"] - 1]
        return self.starts[place["line"] - 1] + len(line[: place["column"] - 1].encode())

    def smallest(self, start, end):
        return self.tree.root_node.descendant_for_byte_range(start, end)

    def enclosing(self, node, kinds):
        while node is not None and node.type not in kinds:
            node = node.parent
        return node

    def add(self, mutant):
        """Places a mutant; False where that cannot be switched while the program runs."""
        start, end = self.offset(mutant["span"]["start"]), self.offset(mutant["span"]["end"])
        node = self.smallest(start, max(end - 1, start))
        within = self.enclosing(node, ["function_item"])
        if self.enclosing(node, ["const_item", "static_item", "array_type", "const_block"]) or within is None:
            return False
        array = self.enclosing(node, ["array_expression"])
        length = array and array.child_by_field_name("length")
        if length and length.start_byte <= start < length.end_byte:
            return False
        if any(child.type == "function_modifiers" and b"const" in child.text.split() for child in within.children):
            return False
        genre, new = mutant["genre"], mutant["replacement"].encode()
        if genre == "FnValue":
            function = within
            while function.child_by_field_name("body").start_byte > start:
                function = self.enclosing(function.parent, ["function_item"])
            result = function.child_by_field_name("return_type")
            if result is not None and b"impl " in result.text:
                return False
            at = function.child_by_field_name("body").start_byte + 1
            self.inserts[at].append(marked(mutant["id"], b" if %s { return %s; }", new))
            return True
        if genre == "MatchArmGuard":
            pattern = self.enclosing(node, ["match_pattern"])
            # A guard that binds a name cannot be replaced with `true` while the name is used.
            if mutant["replacement"] == "true" and binds(pattern):
                return False
            self.arms[(pattern.start_byte, pattern.end_byte)][mutant["replacement"]].append(mutant["id"])
            return True
        if genre == "MatchArm":
            arm = self.enclosing(node, ["match_arm"])
            while arm.start_byte < start or arm.end_byte > end + 1:
                wider = [c for c in arm.children if c.start_byte >= start]
                arm = self.enclosing(wider[0], ["match_arm"]) if wider else None
                if arm is None:
                    return False
            if not any(catches_all(other) for other in arm.parent.children):
                raise Unviable
            pattern = arm.child_by_field_name("pattern")
            self.arms[(pattern.start_byte, pattern.end_byte)]["deleted"].append(mutant["id"])
            return True
        kinds = {
            "BinaryOperator": ["binary_expression", "compound_assignment_expr"],
            "UnaryOperator": ["unary_expression"],
            "StructField": ["struct_expression"],
        }[genre]
        node = self.enclosing(node, kinds + ["let_chain"])
        if node is None or node.type == "let_chain":
            return False
        # With another operator the parts may bind otherwise, as far as the next bracket.
        while node.parent.type == "binary_expression":
            node = node.parent
        changed = self.text[node.start_byte:start] + b" " + new + b" " + self.text[end:node.end_byte]
        self.sites[(node.start_byte, node.end_byte)].append((mutant["id"], changed))
        return True

    def rewritten(self):
        edits = {}
        for (start, end), mutants in self.sites.items():
            edits[(start, end)] = ("site", mutants)
        for (start, end), conditions in self.arms.items():
            edits[(start, end)] = ("arm", conditions)
        self.order = sorted(edits, key=lambda span: (span[0], -span[1]))
        self.edits = edits
        return self.render(0, len(self.text), None)

    def render(self, start, end, skip):
        """The text from start to end with the edits within, but not that of the span `skip` itself."""
        out, at = [], start
        while at < end:
            span = next((s for s in self.order if s[0] >= at and s[1] <= end and s != skip), None)
            insert = min((i for i in self.inserts if at < i <= end and i not in self.done), default=None)
            if span is None and insert is None:
                out.append(self.text[at:end])
                break
            if span is None or (insert is not None and insert <= span[0]):
                out.append(self.text[at:insert])
                out += self.inserts[insert]
                self.done.add(insert)
                at = insert
                continue
            out.append(self.text[at:span[0]])
            kind, what = self.edits[span]
            out.append(self.site(span, what) if kind == "site" else self.arm(span, what))
            at = span[1]
        return b"".join(out)

    done = frozenset()

    def site(self, span, mutants):
        parts = [b"("]
        for number, changed in mutants:
            parts.append(marked(number, b"if %s { %s } else ", changed))
        parts += [b"{ ", self.render(span[0], span[1], span), b" })"]
        return b"".join(parts)

    def arm(self, span, conditions):
        node = self.smallest(span[0], span[1] - 1)
        node = self.enclosing(node, ["match_pattern"])
        guard = node.child_by_field_name("condition")
        inner = b"true"
        pattern_end = span[1]
        if guard is not None:
            pattern_end = next(c for c in node.children if c.type == "if").start_byte
            inner = self.render(guard.start_byte, guard.end_byte, None)
            if not binds(node):
                inner = b"(" + inner + b")"
        for number in conditions["true"]:
            inner = b"(" + marked(number, b"%s%s", b"") + b" || " + inner + b")"
        for number in conditions["false"] + conditions["deleted"]:
            inner = marked(number, b"!%s%s", b"") + b" && " + inner
        return self.text[span[0]:pattern_end].rstrip() + b" if " + inner


class Unviable(Exception):
    """A mutant that cannot compile."""


def catches_all(arm):
    pattern = arm.child_by_field_name("pattern") if arm.type == "match_arm" else None
    return pattern is not None and pattern.text == b"_"


def binds(pattern):
    """Whether the guard of a match arm holds `let`."""
    guard = pattern.child_by_field_name("condition")
    return guard is not None and guard.type in ("let_condition", "let_chain")


def marked(number, shape, text):
    """A mutant in the text between comments by which the compiler's messages are led back to it."""
    on = f"{ON}({number})".encode()
    return b"/*<%d*/" % number + shape % (on, text) + b"/*%d>*/" % number


def rewrite(copy, mutants, without):
    """Writes the source with all mutants but those in `without`, which grows; returns the ids that cannot be switched."""
    alone = []
    for file in sorted({m["file"] for m in mutants}):
        source = Source((copy / "unchanged" / file).read_text())
        source.done = set()
        for mutant in mutants:
            if mutant["file"] != file or mutant["id"] in without:
                continue
            try:
                if not source.add(mutant):
                    alone.append(mutant["id"])
            except Unviable:
                without.add(mutant["id"])
        text = source.rewritten()
        path = copy / file
        if path.read_bytes() != text:
            path.write_bytes(text)
    library = copy / "crates/labels/src/lib.rs"
    text = library.read_text()
    if "mutant_switch" not in text:
        after = text.index("\npub mod ")
        library.write_text(text[:after] + "\nextern crate self as sarb_labels;\n#[doc(hidden)]\npub mod mutant_switch;" + text[after:])
    count = len(mutants) + 1
    switch = SWITCH.strip() % (count, count) + "\n"
    path = copy / "crates/labels/src" / "mutant_switch.rs"
    if not path.exists() or path.read_text() != switch:
        path.write_text(switch)
    return alone


# --- build: compiling ----------------------------------------------------------------------------------------------


def build(copy, args):
    mutants = load(copy, "mutants.json")
    unviable = set(load(copy, "unviable.json")) if (copy / "unviable.json").exists() else set()
    command = ["cargo", "test", "--release", "--no-run", "--message-format=json", "--package", args.package]
    for package in ("sarb", "sarb-labels"):
        for setting in (f"opt-level={args.optimize}", "debug=false"):
            command += ["--config", f"profile.release.package.{package}.{setting}"]
    command += ["--lib"] + (["--test", args.test] if args.test else [])
    environment = {**os.environ, "SARB_COMMIT": "", "RUSTC_WRAPPER": ""}
    for _ in range(60):
        alone = rewrite(copy, mutants, unviable)
        save(copy, "alone.json", alone)
        began = time.time()
        built = subprocess.run(command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
        if built.returncode == 0:
            programs = [m["executable"] for m in messages
                        if m["reason"] == "compiler-artifact" and m.get("executable") and m["profile"]["test"]]
            # The next build, also one without mutants, may give its programs the same names.
            (copy / "programs").mkdir(exist_ok=True)
            programs = [shutil.copy2(program, copy / "programs") for program in programs]
            save(copy, "programs.json", [str(program) for program in programs])
            print(f"built in {time.time() - began:.0f} s: {len(mutants)} mutants, {len(unviable)} do not compile, "
                  f"{len(alone)} alone; {programs}")
            return
        found = blamed(copy, messages)
        if not found - unviable:
            errors = [m["message"]["rendered"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
            sys.exit("errors that belong to no mutant:\n" + "\n".join(errors[:5]) + built.stderr[-2000:])
        unviable |= found
        save(copy, "unviable.json", sorted(unviable))
        print(f"{time.time() - began:.0f} s: {len(found)} more do not compile, {len(unviable)} in all", flush=True)
    sys.exit("no end of mutants that do not compile")


def outermost(span):
    """Where a macro is called, of what is in it."""
    while span.get("expansion"):
        span = {**span["expansion"]["span"], "is_primary": span["is_primary"]}
    return span


MARK = re.compile(rb"/\*<(\d+)\*/|/\*(\d+)>\*/")


def blamed(copy, messages):
    """The mutants that the compiler's errors point to."""
    found, ranges = set(), {}
    for message in messages:
        if message["reason"] != "compiler-message" or message["message"]["level"] != "error":
            continue
        spans = [s for s in map(outermost, message["message"]["spans"]) if (copy / s["file_name"]).exists()]
        primary = [s for s in spans if s["is_primary"]]
        for chosen in (primary, spans):
            hits = set()
            for span in chosen:
                file = span["file_name"]
                if file not in ranges:
                    ranges[file] = mutant_ranges((copy / file).read_bytes())
                start, end = span["byte_start"], span["byte_end"]
                within = [(b - a, n) for n, a, b in ranges[file] if a <= start and end <= b]
                if within:
                    hits.add(min(within)[1])
                else:
                    hits |= {n for n, a, b in ranges[file] if start <= a and b <= end}
            if hits:
                found |= hits
                break
    return found


def mutant_ranges(text):
    opened, ranges = {}, []
    for mark in MARK.finditer(text):
        if mark[1]:
            opened[int(mark[1])] = mark.start()
        else:
            ranges.append((int(mark[2]), opened[int(mark[2])], mark.end()))
    return ranges


# --- test ----------------------------------------------------------------------------------------------------------


def limits(memory):
    def set_limits():
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(0)
    return set_limits


def run(copy, program, tests, limit, memory, **environment):
    """Runs tests; returns "passed", "failed" or "timeout", and the seconds."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SARB_")}
        environment = {**inherited, "TMPDIR": scratch, "HOME": scratch, "RUST_MIN_STACK": "33554432", "RUST_BACKTRACE": "0",
                       "CARGO_MANIFEST_DIR": package_folder(copy, program), **environment}
        began = time.time()
        process = subprocess.Popen(
            [program, "--exact", *tests, "--test-threads", "2", "-q"], cwd=package_folder(copy, program), env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=limits(memory))
        try:
            outcome = "passed" if process.wait(limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            outcome = "timeout"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        return outcome, time.time() - began


def package_folder(copy, program):
    return str(copy / "crates/labels" if "sarb_labels" in program else copy)


def measure(copy, args):
    """Which mutants each test reaches and how long it takes; tests that fail unmutated are left out."""
    path = copy / "reached.json"
    if path.exists() and not args.again:
        return load(copy, "reached.json")
    reached = {}
    jobs = []
    for program in load(copy, "programs.json"):
        names = subprocess.run([program, "--list", "--format", "terse"], capture_output=True, text=True, check=True,
                               cwd=package_folder(copy, program)).stdout
        ignored = subprocess.run([program, "--list", "--format", "terse", "--ignored"], capture_output=True, text=True,
                                 check=True, cwd=package_folder(copy, program)).stdout
        left_out = set(re.findall(r"^(.*): test$", ignored, re.M))
        jobs += [(program, name) for name in re.findall(r"^(.*): test$", names, re.M)
                 if name not in left_out and re.search(args.tests, name)]

    def one(job):
        program, name = job
        with tempfile.TemporaryDirectory() as scratch:
            log = pathlib.Path(scratch) / "reached"
            outcome, seconds = run(copy, program, [name], 600, args.memory, MUTANTS_REACHED=str(log))
            ids = sorted({int(i) for i in log.read_text().split()}) if log.exists() else []
        return job, outcome, seconds, ids

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for (program, name), outcome, seconds, ids in pool.map(one, jobs):
            if outcome == "passed":
                reached.setdefault(program, {})[name] = {"seconds": seconds, "ids": ids}
            else:
                print(f"left out, {outcome} without a mutant: {name}", flush=True)
    save(copy, "reached.json", reached)
    return reached


def batches(tests):
    """Tests by growing batches, quickest first."""
    tests = sorted(tests, key=lambda t: t[2])
    size, at = 4, 0
    while at < len(tests):
        group = tests[at:at + size]
        for program in {t[0] for t in group}:
            yield program, [t[1] for t in group if t[0] == program], sum(t[2] for t in group if t[0] == program)
        at += size
        size *= 3


def test(copy, args):
    reached = measure(copy, args)
    mutants = load(copy, "mutants.json")
    unviable, alone = set(load(copy, "unviable.json") if (copy / "unviable.json").exists() else []), set(load(copy, "alone.json"))
    results = load(copy, "results.json") if (copy / "results.json").exists() else {}
    tests_of = collections.defaultdict(list)
    for program, tests in reached.items():
        for name, found in tests.items():
            for number in found["ids"] if found["seconds"] <= args.slowest else []:
                tests_of[number].append((program, name, found["seconds"]))
    end = time.time() + 60 * args.minutes
    lock, done = threading.Lock(), [0]

    def one(mutant):
        number = mutant["id"]
        if time.time() > end:
            return
        outcome, by = "survived", None
        if not tests_of[number]:
            outcome = "unreached"
        for program, names, seconds in batches(tests_of[number]):
            result, _ = run(copy, program, names, 15 + 8 * seconds, args.memory, MUTANT=str(number))
            if result != "passed":
                outcome, by = ("caught" if result == "failed" else "timeout"), names
                break
        with lock:
            results[str(number)] = {"outcome": outcome, "by": by and by[:4]}
            done[0] += 1
            if outcome in ("survived", "unreached"):
                print(f"{outcome} [{number}] {mutant['name']}", flush=True)
            if done[0] % 50 == 0:
                save(copy, "results.json", results)

    todo = [m for m in mutants if m["id"] not in unviable and m["id"] not in alone
            and (str(m["id"]) not in results or (args.survivors and results[str(m["id"])]["outcome"] in ("survived", "unreached")))
            and re.search(args.files, m["file"])]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(one, todo))
    save(copy, "results.json", results)
    print(f"{done[0]} of {len(todo)} run")


# --- report --------------------------------------------------------------------------------------------------------


def report(copy, args):
    mutants = load(copy, "mutants.json")
    unviable, alone = set(load(copy, "unviable.json") if (copy / "unviable.json").exists() else []), set(load(copy, "alone.json"))
    results = load(copy, "results.json") if (copy / "results.json").exists() else {}
    kinds = ["caught", "timeout", "unviable", "alone", "survived", "unreached", "not run"]
    table = collections.defaultdict(collections.Counter)
    for mutant in mutants:
        number = mutant["id"]
        outcome = "unviable" if number in unviable else "alone" if number in alone else results.get(str(number), {}).get("outcome", "not run")
        table[mutant["file"]][outcome] += 1
        table["all"][outcome] += 1
        if outcome in ("survived", "unreached", "alone"):
            print(f"{outcome} [{number}] {mutant['name']}")
    print("\n| module | " + " | ".join(kinds) + " |\n| --- |" + " ---: |" * len(kinds))
    for file, counts in table.items():
        print(f"| {file} | " + " | ".join(str(counts[kind]) for kind in kinds) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("copy", type=pathlib.Path)
    parser.add_argument("step", choices=["list", "build", "test", "report"])
    parser.add_argument("--package", default="sarb-labels")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--exclude", action="append", default=[])
    parser.add_argument("--in-diff")
    parser.add_argument("--optimize", default="1")
    parser.add_argument("--test")
    parser.add_argument("--tests", default="")
    parser.add_argument("--files", default="")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--slowest", type=float, default=600, help="leave out tests that take more seconds")
    parser.add_argument("--memory-gb", type=float, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--survivors", action="store_true")
    args = parser.parse_args()
    args.memory = int(args.memory_gb * 2**30)
    copy = args.copy.resolve()
    {"list": list_mutants, "build": build, "test": test, "report": report}[args.step](copy, args)


if __name__ == "__main__":
    main()
