"""Mutations of files, by their kind; what is wrong is drawn, and a seed draws the same again."""

from __future__ import annotations

import io
import json
import pickle
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

LARGEST = 200_000
"""Bytes of a mutated file."""
Random = random.Random

NUMBERS = (0, -1, 1, 2, -0.0, 0.5, 1e-300, 1e308, -1e308, 1e19, 1e9, 2**31, 2**63, -(2**63), 10**400, 17, 243, 10**6)
MILD = (0, 1, 2, 0.01, 0.5, 3, 30, 999, 9_999, 99_999, 9.9e6, -9.9e6, 1e-30, -0.5, 1e5, 44_100, 0.2, 150, 640, 5e-324)
"""Numbers that are odd in their place, and yet in the range of many."""
FLOATS = (float("nan"), float("inf"), float("-inf"))
WORDS = (
    "",
    "x",
    "0",
    "-1",
    "nan",
    "null",
    "\ud800",
    "\x00",
    "a\nb",
    "x" * 3000,
    "../../etc/passwd",
    "é" * 50,
    "1" * 5000,
)


def odd_value(draw: Random, depth: int = 0) -> Any:
    """A value that a place may hold in a damaged file."""
    kind = draw.randrange(10)
    if kind < 3:
        return draw.choice(NUMBERS)
    if kind < 4:
        return draw.choice(FLOATS)
    if kind < 6:
        return draw.choice(WORDS)
    if kind < 7:
        return draw.choice((None, True, False, [], {}, [[]], [{}], {"": None}))
    if kind < 8:
        nested: Any = draw.choice((0, [], {}))
        for _ in range(draw.choice((3, 70, 900))):
            nested = [nested] if draw.random() < 0.5 else {"a": nested}
        return nested
    if kind < 9 and depth < 2:
        return [odd_value(draw, depth + 1) for _ in range(draw.randrange(6))]
    return [draw.choice((0, "x", None, [0, 0]))] * draw.choice((1, 17, 1000))


# --- JSON and the like


def places(value: Any, way: tuple[Any, ...] = (), most: int = 4000) -> list[tuple[Any, ...]]:
    """The ways to all parts of a value."""
    found = [way]
    level = [(way, value)]
    while level and len(found) < most:
        after = []
        for at, one in level:
            keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
            for key in keys:
                found.append((*at, key))
                after.append(((*at, key), one[key]))
        level = after
    return found[:most]


def mutate_value(draw: Random, value: Any) -> Any:
    """Change some parts of a value of JSON's types; parts near the root more often."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        ways = places(value)
        depth = draw.choice(sorted({len(way) for way in ways}))
        way = draw.choice([w for w in ways if len(w) == depth])
        if not way:
            value = odd_value(draw)
            continue
        parent = value
        for key in way[:-1]:
            parent = parent[key]
        last, action = way[-1], draw.randrange(8)
        if action < 5:
            old = parent[last]
            if isinstance(old, (int, float)) and not isinstance(old, bool) and draw.random() < 0.6:
                parent[last] = draw.choice(MILD) if draw.random() < 0.7 else old * draw.choice((-1, 0, 1e-3, 1e3))
            else:
                parent[last] = odd_value(draw)
        elif action == 5:
            del parent[last]
        elif action == 6 and isinstance(parent, list):
            parent[:] = parent * draw.choice((2, 5, 100)) if len(parent) < 100 else parent[::-1]
        elif isinstance(parent, dict):
            parent[draw.choice((*WORDS, *map(str, parent)))] = parent.pop(last)
        else:
            draw.shuffle(parent)
    return value


def mutate_json(draw: Random, content: bytes) -> bytes:
    """Change values, or the text itself."""
    if draw.random() < 0.25:
        return mutate_text(draw, content)
    value = mutate_value(draw, json.loads(content))
    try:
        text = json.dumps(value)
    except RecursionError:
        text = "[" * 50_000
    if draw.random() < 0.1:  # a key twice
        text = re.sub(r'("\w+": )', r"\1 0, \1", text, count=draw.randrange(1, 3))
    return text.encode(draw.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig")))


# --- text


def mutate_text(draw: Random, content: bytes) -> bytes:
    """Change words, lines or bytes of a text."""
    text = content.decode("latin1")
    for _ in range(draw.choice((1, 1, 2, 5))):
        action = draw.randrange(8)
        if action < 3:
            words = list(re.finditer(r"[^\s,;{}\[\]:]+", text))
            if words:
                word = draw.choice(words[: draw.choice((10, 100, len(words)))])
                value = draw.choice(MILD if draw.random() < 0.5 else (*NUMBERS, *FLOATS, *WORDS))
                text = text[: word.start()] + str(value) + text[word.end() :]
        elif action < 6:
            lines = text.split("\n")
            at = draw.randrange(len(lines))
            if action == 3:
                del lines[at]
            elif action == 4:
                lines[at:at] = [lines[draw.randrange(len(lines))]] * draw.choice((1, 3, 300))
            else:
                lines[at] = draw.choice(
                    ("", " " * 2000, "\t", lines[at] * 3, lines[at][: len(lines[at]) // 2], "}", "{")
                )
            text = "\n".join(lines)
        elif action == 6:
            old = draw.choice((",", "\n", ".", " ", "0", ":", "{"))
            text = text.replace(old, draw.choice((";", "\t", "\r", "", ",,", "\x00", '"')), draw.choice((1, 5, -1)))
        else:
            return mutate_bytes(draw, text.encode("latin1", "replace"))
    return text.encode(draw.choice(("latin1",) * 6 + ("utf-16", "utf-8", "utf-8-sig")), "replace")


def mutate_bytes(draw: Random, content: bytes) -> bytes:
    """Flip bits, cut, double, or fill bytes; early ones more often."""
    made = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        if not made:
            break
        at = draw.randrange(min(len(made), draw.choice((16, 200, 2000, len(made)))))
        length = draw.choice((1, 1, 4, 64, 1000))
        action = draw.randrange(7)
        if action < 3:
            made[at] = made[at] ^ (1 << draw.randrange(8)) if action else draw.randrange(256)
        elif action == 3:
            del made[at : draw.choice((at + length, len(made)))]
        elif action == 4:
            made[at:at] = made[at : at + length]
        elif action == 5:
            made[at : at + length] = bytes([draw.choice((0, 255, 0x80))]) * min(length, len(made) - at)
        else:
            made[at : at + 8] = struct.pack(draw.choice("<>") + "q", draw.choice((0, -1, 2**62, 2**31, 100, 2**40)))
    return bytes(made)


def mutate_yaml(draw: Random, content: bytes) -> bytes:
    """Change values or the text; add aliases and tags."""
    import yaml

    action = draw.randrange(6)
    if action < 3:
        try:
            return yaml.safe_dump(mutate_value(draw, yaml.safe_load(content))).encode("utf-8", "replace")
        except (RecursionError, ValueError, yaml.YAMLError):
            return b"[" * draw.choice((100, 20_000))
    if action == 3:
        levels, name = draw.choice((2, 9, 30)), draw.choice(("lr", "losses", "model", "data", "base", "name"))
        bomb = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(levels))
        return content + b"\n" + bomb.encode() + f"{name}: *a{levels - 1}\n".encode()
    if action == 4:
        text = content.decode()
        key = draw.choice([line.split(":")[0] for line in text.splitlines() if ":" in line] or ["a"])
        value = draw.choice(
            (
                "2001-99-99",
                "!!python/name:os.system",
                "&a [*a]",
                "1:99:99",
                "0x",
                "0b2",
                "0o9",
                "!!binary x",
                "!!int x",
                "|",
                "? ",
                "<<: 1",
                "~",
                ".inf",
                "!!set {a}",
                "1_000",
            )
        )
        return f"{text}\n{key}: {value}\n".encode()
    return mutate_text(draw, content)


# --- npz


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def odd_array(draw: Random, array: np.ndarray) -> np.ndarray:
    """An array in the place of another one: of another type, shape or with other values."""
    action = draw.randrange(9)
    if action < 2:
        kind = draw.choice(("f2", "f8", ">f4", "i1", "u8", "?", "c8", "U3", "S5", "M8[s]", "O", "f8,i4", "V4"))
        try:
            return np.asarray(array.astype(kind) if array.dtype.kind not in "OU" or kind == "O" else np.zeros(3, kind))
        except (ValueError, TypeError):
            return np.zeros(array.shape[:1], kind)
    if action < 4:
        if not array.ndim:
            return array.reshape((1,) * draw.choice((1, 3)))
        shapes = (array[None], array.reshape(-1), array.T, array[:0], array[..., :1], array[:1], array[..., None])
        return np.asarray(draw.choice(shapes))
    if action < 6 and array.dtype.kind in "fiu" and array.size:
        made = array.astype(np.float64)
        flat = made.reshape(-1)
        if made.ndim and draw.random() < 0.4:
            return odd_motion(draw, made).astype(array.dtype)
        value = float(min(max(draw.choice(MILD if draw.random() < 0.6 else (*NUMBERS, *FLOATS)), -1e308), 1e308))
        if draw.random() < 0.3:
            flat[:] = value
        else:
            flat[draw.randrange(flat.size)] = value
        with np.errstate(all="ignore"):
            return made if draw.random() < 0.5 else made.astype(array.dtype)
    if array.dtype.kind == "U":
        codes = draw.choice(((0xD800,), (0x110000,), (0,), (0x7FFFFFFF, 97), (27, 91)))
        return np.array(codes, "<u4").view(f"<U{len(codes)}").reshape(())
    value = odd_value(draw)
    try:
        return np.array(value) if draw.random() < 0.5 else np.array(value, dtype=object)
    except (ValueError, OverflowError, RecursionError):
        return np.zeros((0,), object)


def odd_motion(draw: Random, made: np.ndarray) -> np.ndarray:
    """Numbers of a clip that are no person's: still, far away, tiny, jumping, lost for most of the time."""
    action, half = draw.randrange(9), len(made) // 2
    with np.errstate(all="ignore"):
        if action == 0:
            return made * draw.choice((0, 1e-6, 1e-3, 100, 1e4, -1))
        if action == 1:
            return made + draw.choice((1e5, 9e6, -9e6, 1e-3))
        if action == 2:
            made[half:] = np.nan
        elif action == 3:
            made[draw.randrange(len(made)) if len(made) else slice(None)] = np.nan
        elif action == 4:
            made[:] = made[:1]
        elif action == 5:
            made[half:] += draw.choice((1e3, 1e6))
        elif action == 6 and made.ndim > 1:
            made[:, draw.randrange(made.shape[1])] = draw.choice((np.nan, 0, 1e6))
        elif action == 7 and made.ndim > 1:
            made[:, 1:] = made[:, :1]
        else:
            made[...] = np.array([draw.uniform(-1e3, 1e3) for _ in range(min(made.size, 50))] or [0])[
                np.arange(made.size) % min(max(made.size, 1), 50)
            ].reshape(made.shape)
    return made


def declared(draw: Random) -> bytes:
    """An array whose header is odd."""
    descr = draw.choice(
        ("<f8", "|O", "|V0", "<U99999999", "|S0", "<f2", "<M8[ns]", "('<f8', (10,10))", "q" * 50, "|b1")
    )
    shape = draw.choice(
        ((10**12,), (-1, 3), (2**63,), (0, 10**9), (), (1,) * 40, ("x",), (1.5,), (10**5, 17, 2), (True,))
    )
    header = repr({"descr": descr, "fortran_order": draw.choice((True, False, 0)), "shape": shape})
    header = draw.choice((header, header, header, "[" * 50, "(" * 9000, "{}", "x", header[:-1], "1/0", "{'a': 1}"))
    text = (header + "\n").encode("latin1", "replace")
    version = draw.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", min(len(text), 65535))
    return b"\x93NUMPY" + version + size + text + bytes(draw.choice((0, 8, 3000)))


def mutate_npz(draw: Random, content: bytes) -> bytes:
    """Change arrays, their headers, a JSON text among them, pickles, or the archive itself."""
    if draw.random() < 0.15:
        return mutate_bytes(draw, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    whole = set(members)
    for _ in range(draw.choice((1, 1, 2))):
        if not whole & members.keys():
            break
        name = draw.choice([name for name in members if name in whole])
        whole.discard(name)  # what is damaged is not loaded here: it may not end
        action = draw.randrange(10)
        try:
            array = np.load(io.BytesIO(members[name]), allow_pickle=True)
        except Exception:
            continue
        if action < 1:
            members[name] = declared(draw)
        elif action < 2:
            del members[name]
        elif action < 3:
            members[draw.choice((*members, "x.npy", "", "a/b.npy", "confidence.npy", "feet.npy"))] = members[name]
        elif action < 4:
            members[name] = mutate_bytes(draw, members[name])
        elif array.dtype.kind == "U" and array.ndim == 0 and str(array).startswith("{"):
            text = mutate_json(draw, str(array).encode()).decode("utf-8", "replace")
            members[name] = npy_bytes(np.array(text))
        elif array.dtype == object:
            members[name] = mutate_object(draw, array)
        else:
            members[name] = npy_bytes(odd_array(draw, array))
    method = draw.choice(
        (zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if draw.random() < 0.05:
            archive.writestr(draw.choice(list(members) or ["x"]), bytes(100))
    return zip_tricks(draw, stream.getvalue()) if draw.random() < 0.15 else stream.getvalue()


def zip_tricks(draw: Random, content: bytes) -> bytes:
    """Change fields of a zip's headers."""
    made = bytearray(content)
    mark = draw.choice((b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"))
    spots = [at.start() for at in re.finditer(re.escape(mark), content)]
    if spots:
        at = draw.choice(spots) + draw.randrange(4, 40)
        value = draw.choice((b"\x01", b"\x63", b"\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x0e", b"\x08"))
        made[at : at + len(value)] = value
    return bytes(made)


def mutate_object(draw: Random, array: np.ndarray) -> bytes:
    """An array of objects, changed or as a pickle of its own."""
    if draw.random() < 0.6:
        plain = mutate_value(draw, to_plain(array.tolist()))
        made = np.empty(array.shape if array.ndim == 0 else (1,), object)
        made[() if array.ndim == 0 else 0] = to_arrays(draw, plain)
        return npy_bytes(made)
    head = npy_bytes(np.empty(array.shape, object))
    start = head.index(b"\n") + 1
    return head[:start] + odd_pickle(draw, pickle.dumps(array, protocol=draw.choice((0, 2, 4))))


def to_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: to_plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(part) for part in value]
    return {"__array__": value.tolist()} if isinstance(value, np.ndarray) and value.ndim else value


def to_arrays(draw: Random, value: Any) -> Any:
    if isinstance(value, dict) and "__array__" in value:
        try:
            return np.array(value["__array__"])
        except (ValueError, OverflowError, RecursionError):
            return value["__array__"]
    try:
        if isinstance(value, dict):
            return {key: to_arrays(draw, part) for key, part in value.items()}
        return [to_arrays(draw, part) for part in value] if isinstance(value, list) else value
    except RecursionError:
        return 0


def odd_pickle(draw: Random, content: bytes) -> bytes:
    """A pickle with other bytes or opcodes, or one that grows."""
    action = draw.randrange(6)
    if action < 3:
        return mutate_bytes(draw, content)
    if action == 3:
        made = bytearray(content)
        for _ in range(draw.choice((1, 3, 10))):
            at = draw.randrange(2, len(made))
            made[at:at] = bytes(
                [draw.choice(b"()[]{}.0123NtlRbsuaeQcqhrjJKMIFVUTXBC2\x81\x85\x86\x87\x88\x8c\x93\x94\x96")]
            )
        return bytes(made)
    if action == 4:
        twice = b"q\x000h\x00h\x00" + draw.choice((b"\x86", b"\x86", b"]", b"\x85"))
        end = draw.choice((b".", b"}q\x01h\x00K\x01s.", b"\x85.", b"}K\x01h\x00s."))
        return b"\x80\x02)" + twice * draw.choice((3, 25, 60)) + end
    return b"\x80\x02" + draw.choice((b"}", b"]", b"N", b"(")) * draw.choice((10, 50_000)) + b"."


def mutate_pickle(draw: Random, content: bytes) -> bytes:
    """Change the values of a pickle, or its bytes."""
    if draw.random() < 0.5:
        return odd_pickle(draw, content)
    plain = mutate_value(draw, to_plain(pickle.loads(content)))
    try:
        return pickle.dumps(to_arrays(draw, plain), protocol=draw.choice((0, 2, 4)))
    except RecursionError:
        return b"\x80\x02" + b"]" * 5000 + b"."


def mutate_npy(draw: Random, content: bytes) -> bytes:
    """Change an array, its header, or bytes."""
    action = draw.random()
    if action < 0.3:
        return mutate_bytes(draw, content)
    return declared(draw) if action < 0.4 else npy_bytes(odd_array(draw, np.load(io.BytesIO(content))))


def mutate_records(draw: Random, content: bytes) -> bytes:
    """Change records, each a line of length and CRC-32 and then a line of JSON and numbers; the sums fit mostly."""
    if draw.random() < 0.2:
        return mutate_bytes(draw, content)
    stream, records = io.BytesIO(content), []
    while words := stream.readline().split():
        records.append(stream.read(int(words[0])))
    at = draw.randrange(len(records))
    head, _, values = records[at].partition(b"\n")
    if draw.random() < 0.8:
        head = json.dumps(mutate_value(draw, json.loads(head))).encode("utf-8", "replace")
    else:
        values = mutate_bytes(draw, values)
    records[at] = head + b"\n" + values
    if draw.random() < 0.1:
        draw.shuffle(records)
    return b"".join(b"%d %d\n" % (len(one), zlib.crc32(one)) + one for one in records)


# --- HDF5


def mutate_hdf5(draw: Random, content: bytes) -> bytes:
    """Change arrays, attributes (pickles among them) or links of an HDF5 file, or bytes."""
    import h5py

    if draw.random() < 0.4:
        return mutate_bytes(draw, content)
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        group = file["df_with_missing"]
        for _ in range(draw.choice((1, 1, 2))):
            owner = draw.choice([group, *(group[name] for name in group if isinstance(group[name], h5py.Dataset))])
            action = draw.randrange(6)
            if action < 2 and owner.attrs:
                name = draw.choice(list(owner.attrs))
                old = owner.attrs[name]
                if isinstance(old, bytes) and len(old) > 60:
                    owner.attrs[name] = np.bytes_(odd_pickle(draw, bytes(old)))
                else:
                    owner.attrs[name] = draw.choice((0, -1, 10**6, 2.5, np.bytes_(b"frame"), np.bytes_(b"x"), [1, 2]))
                continue
            name = draw.choice(list(group))
            if action < 3:
                del group[name]
            elif action < 4:
                group[draw.choice(("axis1", "table", "block0_values", "x"))] = h5py.SoftLink(f"/df_with_missing/{name}")
            elif action < 5:
                del group[name]
                shape = draw.choice(((10**9, 51), (0, 51), (), (3,), (10**6,)))
                group.create_dataset(name, shape, draw.choice(("f8", "i1", "S9")), chunks=True if all(shape) else None)
            else:
                old = np.asarray(group[name])
                del group[name]
                group[name] = odd_array(draw, old)
    return stream.getvalue()


# --- weights


def mutate_safetensors(draw: Random, content: bytes) -> bytes:
    """Change the header, also the JSON texts in it, or bytes."""
    if draw.random() < 0.2:
        return mutate_bytes(draw, content)
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    metadata = header["__metadata__"]
    action = draw.randrange(4)
    if action < 2:
        key = draw.choice([key for key in ("config", "card") if key in metadata])
        value = json.loads(metadata[key])
        if action == 0 and isinstance(value, dict) and value:
            value[draw.choice(list(value))] = odd_value(draw)
        else:
            value = mutate_value(draw, value)
        try:
            metadata[key] = json.dumps(value)
        except RecursionError:
            metadata[key] = "[" * 3000
    elif action == 2:
        metadata[draw.choice(list(metadata))] = draw.choice((*WORDS, "[]", "{", "1", "posemamba", "motionbert"))
    else:
        header = mutate_value(draw, header)
    try:
        text = json.dumps(header).encode()
    except RecursionError:
        text = b"[" * 3000
    size = len(text) if draw.random() < 0.95 else draw.choice((0, 2**63, len(text) + 7, 10**9))
    return struct.pack("<Q", size) + text + content[8 + length :]


def mutate_torch(draw: Random, content: bytes) -> bytes:
    """Change what `torch.save` wrote: tensors, names, structure; or its bytes."""
    import torch

    if draw.random() < 0.3:
        return zip_tricks(draw, content) if draw.random() < 0.4 else mutate_bytes(draw, content)
    value = torch.load(io.BytesIO(content), weights_only=True)
    inner = next((part for part in value.values() if isinstance(part, dict) and len(part) > 5), value)
    for _ in range(draw.choice((1, 1, 3))):
        target = inner if draw.random() < 0.7 else value
        name = draw.choice(list(target))
        old = target[name]
        action = draw.randrange(6)
        if action < 3 and isinstance(old, torch.Tensor):
            target[name] = odd_tensor(draw, old)
        elif action < 4:
            target.pop(name)
        elif action < 5:
            target[draw.choice((*WORDS[:6], "STEblocks.99999.x", "STEblocks.x.y", "layers.x", 5, ("a",), None))] = old
        else:
            target[name] = odd_value(draw)
        if not target:
            break
    stream = io.BytesIO()
    try:
        torch.save(value, stream, _use_new_zipfile_serialization=draw.random() < 0.8)
    except Exception:
        return content[:1000]
    return stream.getvalue()


def odd_tensor(draw: Random, tensor: Any) -> Any:
    import torch

    return draw.choice(
        (
            lambda: tensor * float("nan"),
            lambda: tensor.reshape(-1),
            lambda: tensor[:0],
            lambda: tensor[None],
            lambda: tensor.half(),
            lambda: tensor.to(torch.complex64),
            lambda: tensor.bool(),
            lambda: torch.zeros(1).half().expand(10**10),
            lambda: torch.zeros(()),
            lambda: torch.zeros(0, 0),
            lambda: torch.zeros(1, 0, 10**6),
            lambda: torch.empty(10**6, device="meta"),
            lambda: torch.eye(3).to_sparse(),
            lambda: torch.zeros(40_000, 1),
            lambda: tensor.t() if tensor.ndim == 2 else tensor,
        )
    )()


MUTATORS: dict[str, Callable[[Random, bytes], bytes]] = {
    "json": mutate_json,
    "npz": mutate_npz,
    "npy": mutate_npy,
    "records": mutate_records,
    "csv": mutate_text,
    "text": mutate_text,
    "yaml": mutate_yaml,
    "pickle": mutate_pickle,
    "hdf5": mutate_hdf5,
    "safetensors": mutate_safetensors,
    "torch": mutate_torch,
    "bytes": mutate_bytes,
}


def mutated(draw: Random, kind: str, content: bytes) -> bytes:
    """A damaged copy of a file, of at most LARGEST bytes."""
    special = draw.random()
    if special < 0.01:
        return b""
    if special < 0.04:
        return content[: draw.randrange(len(content))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that an archive holds twice
        try:
            made = MUTATORS[kind](draw, content)
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError, AttributeError, OSError):
            made = mutate_bytes(draw, content)  # this mutation cannot be made of this file
    return made if len(made) <= max(LARGEST, len(content)) else made[:LARGEST]
