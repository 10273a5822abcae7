#!/usr/bin/env python3
"""Read, check and dequantize an Ember model file (version 1), written from formats/model-file.md alone.

It shares no code with Ember, so it proves that the page suffices to read the files, and checks
Ember's writer against the page: every rule there that binds a reader is validated.

    read_model.py FILE                           print header, sections, tensors; check every byte
    read_model.py FILE --metadata                print the metadata as JSON
    read_model.py FILE --dequantize NAME -o out.npy
    read_model.py FILE --dequantize-all FOLDER   every tensor as FOLDER/NAME.npy (float32)

--metadata and --dequantize check the structure and only the tensors that they read. The first
violation is one line on standard error and exit code 1. Needs numpy (1.23 or later) and zstandard.
"""
import argparse
import itertools
import json
import math
import os
import re
import struct
import sys
import zlib
from collections import namedtuple

import numpy as np
import zstandard

MAGIC = b"\x89EMBR\r\n\x1a"
RECORD_BYTES = {"extent table": 16, "tensor directory": 192, "metadata": 0, "tokenizer": 0}
FRAME_LIMITS = {"metadata": 64 << 20, "tokenizer": 256 << 20}
WINDOW_LIMIT = 8 << 20
TYPES = ("f32", "f16", "q8", "q4", "q4n", "q5", "q6")
TILE_BYTES = {"f16": 2048, "q8": 1088, "q4": 576, "q4n": 576, "q5": 704, "q6": 832}
PADDING_CODE = {"f16": 0, "q8": 128, "q4": 8, "q4n": 0, "q5": 0, "q6": 0}
VALUES = {  # of the codes
    "q8": np.arange(256, dtype=np.int32) - 128,
    "q4": np.arange(16, dtype=np.int32) - 8,
    "q4n": np.array([0, 5, 11, 16, 20, 24, 27, 30, 33, 35, 38, 41, 45, 49, 54, 60], np.int32) - 32,
    "q5": np.arange(32, dtype=np.int32) - 16,
    "q6": np.arange(64, dtype=np.int32) - 32,
}
GROUPED = ("q4n", "q5", "q6")  # those with row scales
CHUNK_WEIGHTS = 1 << 22  # weights unpacked at once, which bounds the memory

Section = namedtuple("Section", "offset size count record crc")  # count: of records, or raw bytes
Tensor = namedtuple("Tensor", "name type steps rows columns offset size outliers error crc extent")


class Violation(Exception):
    """The file breaks a rule of the page."""


def require(condition, message):
    if not condition:
        raise Violation(message)


def up(n, a):
    return -(-n // a) * a


def check_crc(what, data, stored):
    actual = zlib.crc32(data)
    require(actual == stored, f"{what}: CRC is {actual:08x}, stored {stored:08x}")


class Model:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.file_size = os.fstat(file.fileno()).st_size
            self.read_header(file.read(256))
            self.data = np.memmap(file, np.uint8, "r")
        self.read_sections()
        self.read_extents_and_tensors()
        for start, end in self.gaps:  # rule 11, between parts; inside tensors: chunks()
            require(not self.data[start:end].any(), f"padding from {start} to {end} is not zero")

    def read_header(self, head):  # rules 1 to 3
        require(head, "the file is empty")
        require(MAGIC.startswith(head[:8]), f"not an Ember model file: magic is '{head[:8].hex(' ')}', not '{MAGIC.hex(' ')}'")
        version = int.from_bytes(head[8:12], "little")
        require(len(head) < 12 or version == 1, f"version {version} is not supported, only 1")
        require(len(head) == 256, f"truncated: {256 - len(head)} bytes of the header are missing")
        *fields, crc = struct.unpack_from("<IQQII212xI", head, 12)
        check_crc("header", head[:252], crc)
        header_size, size, features, part, parts = fields
        require(features == 0, f"required features {features:#x} are unknown")
        require((part, parts) == (0, 1), f"part {part} of {parts}: only part 0 of 1 is supported")
        require(header_size == 256, f"header size is {header_size}, not 256")
        require(not any(head[40:64] + head[192:252]), "header: reserved bytes are not zero")
        require(self.file_size >= size, f"truncated: {size - self.file_size} of {size} bytes are missing")
        require(self.file_size == size, f"file has {self.file_size} bytes, the header says {size}")
        self.header = {"version": version, "header size": header_size, "file size": size, "features": features,
                       "part": part, "parts": parts, "header CRC": f"{crc:08x}"}
        self.sections = dict(zip(RECORD_BYTES, map(Section._make, struct.iter_unpack("<QQQII", head[64:192]))))

    def read_sections(self):  # rules 4 and 5; where the extent table starts follows from the tensors (rule 6)
        end, stored = self.sections["extent table"].offset, {}
        for name, s in self.sections.items():
            require(s.offset + s.size <= self.file_size, f"{name}: ends outside the file")
            require(s.offset == up(end, 64), f"{name}: offset is {s.offset}, not {up(end, 64)}")
            end = s.offset + s.size
            require(s.record == RECORD_BYTES[name], f"{name}: record size is {s.record}, not {RECORD_BYTES[name]}")
            if s.record:
                require(s.count <= 1 << 20, f"{name}: {s.count} records, more than {1 << 20}")
                require(s.size == s.count * s.record, f"{name}: {s.size} bytes for {s.count} records of {s.record}")
            else:
                require(max(s.size, s.count) <= FRAME_LIMITS[name], f"{name}: larger than {FRAME_LIMITS[name]} bytes")
                require(s.count <= 65536 + 256 * s.size, f"{name}: {s.size} bytes claim to hold {s.count}")
            stored[name] = bytes(self.data[s.offset:end])
            check_crc(name, stored[name], s.crc)
        require(end == self.file_size, f"tokenizer ends at {end}, the file at {self.file_size}")
        self.extents = list(struct.iter_unpack("<QQ", stored["extent table"]))
        self.directory = stored["tensor directory"]
        self.tokenizer = self.decompress("tokenizer", stored["tokenizer"])
        try:
            text = self.decompress("metadata", stored["metadata"]).decode("utf-8")
            self.metadata = json.loads(text, parse_constant=lambda name: require(False, f"metadata: has {name}"))
        except (ValueError, RecursionError) as error:
            raise Violation(f"metadata: not JSON in UTF-8: {error}")

    def decompress(self, name, stored):
        require(stored[:4] == b"\x28\xb5\x2f\xfd", f"{name}: not a zstd frame")
        try:
            frame = zstandard.get_frame_parameters(stored)
            raw_size = self.sections[name].count
            require(frame.content_size == raw_size, f"{name}: frame declares another size than {raw_size}")
            require(frame.dict_id == 0, f"{name}: frame needs a dictionary")
            require(frame.window_size <= WINDOW_LIMIT, f"{name}: frame's window is {frame.window_size} bytes")
            decoder = zstandard.ZstdDecompressor().decompressobj()
            raw = decoder.decompress(stored)
        except zstandard.ZstdError as error:
            raise Violation(f"{name}: {error}")
        require(decoder.eof and not decoder.unused_data, f"{name}: the frame does not end where the section ends")
        return raw

    def read_extents_and_tensors(self):  # rules 6 to 9
        self.tensors, self.gaps, extents, end = {}, [(256, 4096)], [], 4096
        for index in range(len(self.directory) // 192):
            t = parse_tensor(index, self.directory[192 * index:192 * (index + 1)])
            require(t.name not in self.tensors, f"tensor {t.name}: name is used twice")
            first = t.extent == len(extents)
            require(first or t.extent == len(extents) - 1, f"tensor {t.name}: extent {t.extent} is out of order")
            start = up(end, 4096 if first else 64)
            require(t.offset == start, f"tensor {t.name}: offset is {t.offset}, not {start}")
            self.gaps.append((end, start))
            end = start + t.size
            extents[t.extent:] = [(start if first else extents[-1][0], end)]
            self.tensors[t.name] = t
        extents = [(start, end - start) for start, end in extents]
        for i, (stored, actual) in enumerate(itertools.zip_longest(self.extents, extents)):
            require(stored == actual, f"extent {i}: offset and bytes are {stored}, of its tensors {actual}")
        offset = self.sections["extent table"].offset
        require(offset == up(end, 64), f"extent table: offset is {offset}, not {up(end, 64)}")
        for s in self.sections.values():
            self.gaps.append((end, s.offset))
            end = s.offset + s.size

    def chunks(self, t, dequantize=True):
        """Check a tensor (rules 10 and 11) and yield its weights as runs of whole rows (f32: of numbers)."""
        data = self.data[t.offset:t.offset + t.size]
        check_crc(f"tensor {t.name}", memoryview(data), t.crc)
        if t.type == "f32":
            done = 0
            for values in np.array_split(data.view("<f4"), up(t.size, 4 * CHUNK_WEIGHTS) // (4 * CHUNK_WEIGHTS)):
                require_finite(t, "finite values", values, lambda i: divmod(done + i, t.columns), "column")
                done += len(values)
                yield values
            return
        groups = data.reshape(-(-t.rows // 16), -1)
        per_chunk = max(1, CHUNK_WEIGHTS // (16 * up(t.columns, 64)))
        in_use = 0
        for g in range(0, len(groups), per_chunk):
            chunk = groups[g:g + per_chunk]
            rows = min(t.rows - 16 * g, 16 * len(chunk))
            codes, scales, row_scales = unpack(t, chunk)
            padding = codes[rows:], codes[:, t.columns:]
            require(all((p == PADDING_CODE[t.type]).all() for p in padding), f"tensor {t.name}: padding is not zero")
            if t.type != "f16":  # scales with all bits zero, so that -0 is refused too
                bits = scales if t.type in GROUPED else scales.view("<u2")
                width = codes.shape[1] // scales.shape[1]
                require(not bits[rows:].any() and not bits[:, -(-t.columns // width):].any(),
                        f"tensor {t.name}: the scale of a padding block is not zero")
            if t.type in GROUPED:
                require(not row_scales.view("<u4")[rows:].any(),
                        f"tensor {t.name}: the scale of a padding row is not zero")
                require_finite(t, "a finite scale", row_scales, lambda i: (16 * g + i, None))
            else:
                expected, numbers, unit = (("finite weights", codes.view("<f2"), "column") if t.type == "f16" else
                                           ("a finite scale", scales, "block"))
                require_finite(t, expected, numbers, lambda i: (16 * g + i // numbers.shape[1], i % numbers.shape[1]), unit)
            r, c, values = outliers(t, chunk, rows)
            in_use += len(r)
            require(in_use <= t.outliers, f"tensor {t.name}: more lanes in use than its {t.outliers} outliers")
            if not dequantize:
                continue
            if t.type == "f16":
                weights = codes.view("<f2").astype(np.float32)
            else:
                weights = VALUES[t.type][codes].reshape(*scales.shape, -1)
                if t.type in GROUPED:  # exact, until the row's scale
                    weights = (weights * scales.astype(np.int32)[:, :, None]).astype(np.float32)
                    weights *= row_scales[:, None, None]
                else:
                    weights = weights.astype(np.float32) * scales.astype(np.float32)[:, :, None]
                weights = weights.reshape(codes.shape)
                np.add.at(weights, (r, c), values)  # in step order, where a column comes again
            yield weights[:rows, :t.columns]


def parse_tensor(index, record):
    name = record[:96].rstrip(b"\0")
    require(re.fullmatch(rb"[A-Za-z0-9._-]+", name), f"tensor {index}: invalid name {name!r}")
    name = name.decode()
    number, *fields = struct.unpack_from("<IIQQQQQ16xfII", record, 96)
    known = ", ".join(f"{i} {type}" for i, type in enumerate(TYPES))
    require(number < len(TYPES), f"tensor {name}: block type {number} is unknown, known are {known}")
    t = Tensor(name, TYPES[number], *fields)
    require(t.rows >= 1 and t.columns >= 1, f"tensor {name}: shape {t.rows} x {t.columns}")
    require(t.steps == 0 or (t.type not in ("f32", "f16") and t.columns <= 65536 and t.steps <= t.columns),
            f"tensor {name}: {t.steps} outlier steps in {t.type} with {t.columns} columns")
    size = (4 * t.rows * t.columns if t.type == "f32" else
            -(-t.rows // 16) * (row_scale_bytes(t) + -(-t.columns // 64) * TILE_BYTES[t.type] + 64 * t.steps))
    require(t.size == size, f"tensor {name}: {t.size} bytes, its shape has {size}")
    require(t.outliers <= t.rows * t.steps, f"tensor {name}: {t.outliers} outliers in {t.steps} steps")
    require(math.isfinite(t.error) and t.error >= 0, f"tensor {name}: relative error {t.error}")
    require(not any(record[144:160] + record[172:]), f"tensor {name}: reserved bytes are not zero")
    return t


def row_scale_bytes(t):
    return 64 if t.type in GROUPED else 0


def unpack(t, chunk):
    """Of row groups, the codes (padded rows x columns; f16: the bits of the halves), the scales (rows x blocks or
    groups) and the row scales."""
    n, c = len(chunk), -(-t.columns // 64)
    head = row_scale_bytes(t)
    tiles = chunk[:, head:head + c * TILE_BYTES[t.type]].reshape(n, c, -1)
    if t.type == "f16":
        return tiles.view("<u2").reshape(n, c, 64, 16).transpose(0, 3, 1, 2).reshape(16 * n, 64 * c), None, None
    if t.type in GROUPED:
        row_scales = np.ascontiguousarray(chunk[:, :head]).view("<f4").reshape(16 * n)
        scales = tiles[:, :, :64].view(np.int8).reshape(n, c, 2, 16, 2).transpose(0, 3, 1, 2, 4).reshape(16 * n, 4 * c)
        return grouped_codes(t, tiles).transpose(0, 5, 1, 2, 3, 4, 6).reshape(16 * n, 64 * c), scales, row_scales
    scales = tiles[:, :, :64].view("<f2").reshape(n, c, 2, 16).transpose(0, 3, 1, 2).reshape(16 * n, 2 * c)
    packed = tiles[:, :, 64:].reshape(n, c, 2, -1, 16, 4).transpose(0, 4, 1, 2, 3, 5)  # group, r, tile, b, j, i
    if t.type == "q4":
        packed = np.stack((packed & 15, packed >> 4), axis=4)  # a block's first 16 columns, then the others
    return packed.reshape(16 * n, 64 * c), scales, None


def grouped_codes(t, tiles):
    """Codes of q4n, q5 and q6 tiles: row group, tile, b, h, j, r, i."""
    n, c = tiles.shape[:2]
    low = tiles[:, :, 64:576].reshape(n, c, 2, 4, 16, 4)  # b, j, r, i
    codes = np.stack((low & 15, low >> 4), axis=3)
    if t.type == "q5":
        high = tiles[:, :, 576:].reshape(n, c, 2, 16, 4)  # b, r, i
        for h, j in itertools.product(range(2), range(4)):
            codes[:, :, :, h, j] |= (high >> (2 * j + h) & 1) << 4
    if t.type == "q6":
        high = tiles[:, :, 576:].reshape(n, c, 2, 2, 16, 4)  # b, j div 2, r, i
        for h, j in itertools.product(range(2), range(4)):
            codes[:, :, :, h, j] |= (high[:, :, :, j // 2] >> (4 * (j % 2) + 2 * h) & 3) << 4
    return codes


def require_finite(t, expected, numbers, place, unit=None):
    """place: row and column (or block) of an index into the flattened numbers; there is no unit in numbers of rows."""
    finite = np.isfinite(numbers)
    if not finite.all():
        index = int(np.argmin(finite))
        row, other = place(index)
        found = "NaN" if np.isnan(numbers.flat[index]) else "infinity"
        where = f"row {row}" + (f", {unit} {other}" if unit else "")
        raise Violation(f"tensor {t.name}: expected {expected}, found {found} at {where}")


def outliers(t, chunk, rows):
    """Rows (in the chunk), columns and values of the lanes in use, step after step."""
    steps = chunk[:, chunk.shape[1] - 64 * t.steps:].view("<u2").reshape(len(chunk), t.steps, 2, 16)
    columns, bits = steps[:, :, 0], steps[:, :, 1]
    used = (columns | bits) != 0
    group, _, lane = np.nonzero(used)
    r, c, values = 16 * group + lane, columns[used], bits[used].view("<f2").astype(np.float32)
    require((r < rows).all(), f"tensor {t.name}: an outlier is beyond the last row")
    require((c < t.columns).all(), f"tensor {t.name}: an outlier is beyond the last column")
    require(np.isfinite(values).all(), f"tensor {t.name}: an outlier is not finite")
    return r, c, values


def save(model, t, path):
    try:
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (t.rows, t.columns)})
            file.writelines(np.ascontiguousarray(weights, "<f4") for weights in model.chunks(t))
    except Violation:
        os.unlink(path)
        raise


def print_table(titles, rows):
    rows = [titles] + [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]))
    print()


def report(model):
    print_table(["header", "value"], model.header.items())
    print_table(["section", "offset", "bytes", "records/raw", "record", "CRC"],
                [(name, *s[:4], f"{s.crc:08x}") for name, s in model.sections.items()])
    print_table(["tensor", "type", "steps", "rows", "columns", "offset", "bytes", "outliers", "error", "CRC", "extent"],
                [(*t[:8], f"{t.error:.6f}", f"{t.crc:08x}", t.extent) for t in model.tensors.values()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", help="model file")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--dequantize", metavar="NAME", help="write one tensor as float32 to the file of -o")
    action.add_argument("--dequantize-all", metavar="FOLDER", help="write every tensor as FOLDER/NAME.npy")
    action.add_argument("--metadata", action="store_true", help="print the metadata as JSON")
    parser.add_argument("-o", "--output", metavar="OUT.npy", help="file for --dequantize")
    options = parser.parse_args()
    if (options.dequantize is None) != (options.output is None):
        parser.error("--dequantize NAME and -o OUT.npy go together")
    try:
        model = Model(options.file)
        if options.metadata:
            print(json.dumps(model.metadata, indent=2))
        elif options.dequantize is not None:
            require(options.dequantize in model.tensors, f"no tensor {options.dequantize!r}")
            save(model, model.tensors[options.dequantize], options.output)
        elif options.dequantize_all is not None:
            os.makedirs(options.dequantize_all, exist_ok=True)
            for t in model.tensors.values():
                save(model, t, os.path.join(options.dequantize_all, t.name + ".npy"))
        else:
            report(model)
            for t in model.tensors.values():
                list(model.chunks(t, dequantize=False))
            print("every check passed")
    except (Violation, OSError) as error:
        sys.exit(f"{options.file}: {error}")


if __name__ == "__main__":
    main()
