"""Reads paths from standard input and prints, for each, the bytes ZipNN makes of the file at best.

A process for each attempt: the library ends the process on some inputs.
"""

import json
import multiprocessing
import sys

from zipnn import ZipNN


def attempt(path, dtype, answer):
    with open(path, "rb") as file:
        raw = file.read()
    answer.put(len(ZipNN(input_format="byte", bytearray_dtype=dtype, threads=1).compress(raw)))


context = multiprocessing.get_context("fork")
for path in sys.stdin.read().splitlines():
    sizes = []
    for dtype in ("float32", "float16", "bfloat16"):
        answer = context.SimpleQueue()
        process = context.Process(target=attempt, args=(path, dtype, answer))
        process.start()
        process.join()
        if process.exitcode == 0 and not answer.empty():
            sizes.append(answer.get())
    print(json.dumps(min(sizes, default=None)))
