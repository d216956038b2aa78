#!/usr/bin/env python3
"""Restores the files of a version from the database alone; docs/blob-format.md says how.

usage: read_artifact.py MONGODB_URI DATABASE MODEL VERSION FOLDER

Needs pymongo, zstandard and numpy. Every digest is compared; a file that differs is not written.
"""

import hashlib
import pathlib
import struct
import sys

import numpy
import pymongo
import zstandard

BLOCK_BYTES = 512 * 1024
CODEC = "gridstow-blocks-1"
RAW, ZSTD, PLANES, FRAME = range(4)


class Damaged(Exception):
    """Stored bytes that are not what was written."""


def check(condition, message):
    if not condition:
        raise Damaged(message)


def decompress_frame(frame, raw_bytes):
    try:
        # A false size would make the decoder take memory for it.
        check(zstandard.frame_content_size(frame) == raw_bytes, "a frame has another length")
        raw = zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from error
    check(len(raw) == raw_bytes, "a frame has another length")
    return raw


def decompress_blocks(blocks, raw_bytes):
    header = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", raw_bytes)
    return decompress_frame(header + bytes(blocks), raw_bytes)


def read_length(body, at):
    length = 0
    for shift in (0, 7, 14):
        check(at < len(body), "a block ends early")
        byte = body[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            return length, at
    raise Damaged("a plane is too long")


def decode_planes(tag, body, raw_bytes, base):
    width = 4 if tag & 8 else 2
    phase = tag >> 5 & 3
    count = (raw_bytes - phase) // width
    check(raw_bytes <= BLOCK_BYTES and phase < width and count > 0, "a block has no such planes")
    lengths, at = [], 0
    for _ in range(width):
        length, at = read_length(body, at)
        lengths.append(length)
    items = numpy.empty((count, width), numpy.uint8)
    for index, length in enumerate(lengths):
        coded = body[at : at + (length or count)]
        plane = decompress_blocks(coded, count) if length else bytes(coded)
        check(len(plane) == count, "a block ends early")
        items[:, index] = numpy.frombuffer(plane, numpy.uint8)
        at += length or count
    numbers = items.view("<u4" if width == 4 else "<u2").reshape(-1)
    if tag & 16:
        bits = 8 * width - 1
        numbers = (numbers >> 1 | numbers << bits).astype(numbers.dtype)
    if base is not None:
        numbers = numbers ^ numpy.frombuffer(base, numbers.dtype, count, phase)
    loose = bytes(body[at:])
    raw = loose[:phase] + numbers.tobytes() + loose[phase:]
    check(len(raw) == raw_bytes, "a block has another length")
    return raw


def decode_segment(encoded, raw_bytes, base):
    encoded = memoryview(encoded)
    raw, at = bytearray(), 0
    while len(raw) < raw_bytes:
        check(at < len(encoded), "a segment ends early")
        tag = encoded[at]
        method, is_delta, is_last = tag & 3, tag & 4, tag & 128
        left = raw_bytes - len(raw)
        if is_last:
            body, block_bytes = encoded[at + 1 :], left
            at = len(encoded)
        else:
            length = int.from_bytes(encoded[at + 1 : at + 4], "little")
            body, block_bytes = encoded[at + 4 : at + 4 + length], BLOCK_BYTES
            at += 4 + length
        check(block_bytes <= left, "a segment is too long")
        check(not is_delta or base is not None, "a difference has no base")
        block_base = base[len(raw) : len(raw) + block_bytes] if is_delta else None
        if method == PLANES:
            raw += decode_planes(tag, body, block_bytes, block_base)
            continue
        if method == RAW:
            block = bytes(body)
        elif method == ZSTD:
            block = decompress_blocks(body, block_bytes)
        else:
            block = decompress_frame(bytes(body), block_bytes)
        check(len(block) == block_bytes, "a block has another length")
        if block_base is not None:
            pair = (numpy.frombuffer(part, numpy.uint8) for part in (block, block_base))
            block = numpy.bitwise_xor(*pair).tobytes()
        raw += block
    check(at == len(encoded), "more follows behind a segment")
    return bytes(raw)


class Reader:
    def __init__(self, database):
        self.database = database

    def blob(self, ref, base=None):
        """Raw bytes of a blob, decoded and compared with their digest."""
        found = self.database["artifacts.files"].find_one({"_id": ref["blob"]})
        check(found and found["metadata"]["codec"] == CODEC, f"no blob {ref['blob']}")
        chunks = self.database["artifacts.chunks"].find({"files_id": ref["blob"]}).sort("n", 1)
        encoded = b"".join(chunk["data"] for chunk in chunks)
        check(len(encoded) == ref["storedBytes"] == found["length"], f"blob {ref['blob']} is not whole")
        raw = decode_segment(encoded, ref["rawBytes"], base)
        digest = hashlib.sha256(raw).hexdigest()
        check(digest == ref["sha256"], f"blob {ref['blob']} differs from its digest")
        return raw

    def file(self, ref):
        parts = []
        for segment in ref["segments"]:
            base = self.blob(segment["base"]) if segment.get("base") else None
            parts.append(self.blob(segment, base))
        raw = b"".join(parts)
        check(hashlib.sha256(raw).hexdigest() == ref["sha256"], "a file differs from its digest")
        return raw


def main(uri, database, model, version, folder):
    reader = Reader(pymongo.MongoClient(uri)[database])
    found = reader.database["versions"].find_one({"model": model, "version": int(version)})
    check(found, f"no version {version} of {model}")
    root = pathlib.Path(folder).resolve()
    for entry in found["files"]:
        target = (root / entry["path"]).resolve()
        check(target.is_relative_to(root), f"{entry['path']} leaves the folder")
        raw = reader.file(entry["ref"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)
        print(f"{entry['path']}: {len(raw)} bytes, {entry['ref']['sha256']}")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Damaged as error:
        sys.exit(f"read_artifact: {error}")
