#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Straightforward stide in Python, for bench/stide: a set of tuples. Usage: stide.py DIR [K]"""
import os
import sys
import time


def read(folder):
    traces = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            with open(os.path.join(where, name), encoding='ascii') as file:
                traces.append([int(word) for word in file.read().split()])
    return traces


def main():
    folder, k = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 6
    training = read(f'{folder}/training')
    tested = read(f'{folder}/normal') + read(f'{folder}/attack')

    start = time.perf_counter()
    known = set()
    for trace in training:
        for i in range(len(trace) - k + 1):
            known.add(tuple(trace[i:i + k]))
    learned = time.perf_counter()
    mismatches = 0
    for trace in tested:
        for i in range(len(trace) - k + 1):
            if tuple(trace[i:i + k]) not in known:
                mismatches += 1
    scored = time.perf_counter()
    print(sum(map(len, training)), learned - start, sum(map(len, tested)), scored - learned, mismatches)


main()
