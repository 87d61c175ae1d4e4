#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How much of a kernel thread's 16 KB of stack klips.ko takes at most, by its code.

    scripts/stack.py KLIPS_KO OBJDUMP

A function's frame is what it pushes and subtracts from the stack pointer; a way of calls, through
the module's own functions, takes the sum of its frames.  What the kernel's functions take that are
called, and those that call the module, is not in it: the limits leave room for them, most where the
kernel sets up ciphers, and loads them, for a new state.  Calls through pointers are not followed.

Fails if a way takes more than its limit, or if functions call each other in a circle.  The last line
says "N passed, N failed".
"""

import re
import subprocess
import sys

# Of any way, and of those that lead to a function.
LIMITS = {None: 11264, "klips_xfrm_state_new": 9216}
RETURN_ADDRESS = 8

SECTION = re.compile(r"^Disassembly of section (\S+):$")
FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")
PUSH = re.compile(r"\tpushq?\t")
GROW = re.compile(r"\tsubq?\t\$(0x[0-9a-f]+|\d+), %rsp")
# A jump to another function is a call after which nothing is left to do.
BRANCH = re.compile(r"\t(?:callq?|j[a-z]+)\t")
TARGET = re.compile(r"\t(?:0x[0-9a-f]+ )?<([^>]+)>$")
RELOCATION = re.compile(r"R_X86_64_(?:PLT32|PC32)\t(\S+?)([+-]0x[0-9a-f]+)$")


def functions(disassembly):
    """Frame and callees of each function."""
    found = {}
    places = {}
    calls = []
    section = name = None
    is_branch = False
    for line in disassembly.splitlines():
        if match := SECTION.match(line):
            section = match[1]
        elif match := FUNCTION.match(line):
            name = match[2]
            places[section, int(match[1], 16)] = name
            found.setdefault(name, [RETURN_ADDRESS, set()])
        elif name is None:
            continue
        elif match := RELOCATION.search(line):
            if is_branch:
                # Relative to the end of the instruction, four bytes on.  What was shown as the target
                # is none yet.
                calls[-1] = (name, match[1], int(match[2], 16) + 4)
        else:
            is_branch = BRANCH.search(line) is not None
            if PUSH.search(line):
                found[name][0] += 8
            elif match := GROW.search(line):
                found[name][0] += int(match[1], 0)
            elif is_branch:
                match = TARGET.search(line)
                calls.append((name, match[1] if match else None, 0))
    for name, target, offset in calls:
        target = places.get((target, offset), target)
        if target in found and target != name:
            found[name][1].add(target)
    return found


def ways(found):
    """For each function the way to it that takes most: how much, and who calls it on that way."""
    callers = {name: set() for name in found}
    for name, (_, callees) in found.items():
        for callee in callees:
            callers[callee].add(name)
    most = {}
    under_way = set()

    def visit(name):
        if name in most:
            return most[name][0]
        if name in under_way:
            raise RecursionError(f"{name} calls itself, by way of others")
        under_way.add(name)
        before = max(((visit(it), it) for it in callers[name]), default=(0, None))
        under_way.discard(name)
        most[name] = (before[0] + found[name][0], before[1])
        return most[name][0]

    for name in found:
        visit(name)
    return most


def main():
    module, objdump = sys.argv[1:]
    command = [objdump, "--disassemble", "--reloc", "--no-show-raw-insn", module]
    disassembly = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = functions(disassembly)
    most = ways(found)
    failed = 0
    for target, limit in LIMITS.items():
        end = target or max(most, key=most.get)
        taken = most[end][0]
        is_good = taken <= limit
        failed += not is_good
        what = f"on the way to {target}" if target else "at most"
        print(f"{'ok' if is_good else 'FAILED'}  {taken} bytes of stack {what}, {limit} are allowed")
        while end and not is_good:
            print(f"{found[end][0]:8} {end}")
            end = most[end][1]
    print(f"{len(LIMITS) - failed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
