import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Pickles and archives that would run code in Python, fill the memory, or lie about where things
/// are: each ends in an error of one line, and nothing runs. The corpus only grows.
@Suite struct HostilePickleTests {
  private typealias F = TorchFixture

  private func error(_ bytes: [UInt8]) throws -> CheckpointError? {
    let fixture = try CheckpointFixture()
    try fixture.write(CheckpointFixture.llamaConfiguration)
    try fixture.write(bytes, to: "pytorch_model.bin")
    let before = try FileManager.default.contentsOfDirectory(atPath: fixture.path.string)
    let error = openingError(fixture.path)
    // What the pickles would do is write a file beside themselves.
    #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path.string) == before)
    #expect(error?.description.contains("\n") != true)
    if error != nil {
      try expectWithinLimits(fixture.path)
      #expect(try FileManager.default.contentsOfDirectory(atPath: fixture.path.string) == before)
    }
    return error
  }

  private static let command = F.tuple([F.string("touch pwned")])

  /// Pickles, and what the refusal names.
  @Test(
    arguments: [
      (F.global("os", "system") + command + [0x52, 0x2E], "os.system"),
      (F.global("posix", "system") + command + [0x52, 0x2E], "posix.system"),
      (F.global("builtins", "eval") + command + [0x52, 0x2E], "builtins.eval"),
      (F.global("__builtin__", "exec") + command + [0x52, 0x2E], "__builtin__.exec"),
      (F.global("subprocess", "Popen") + command + [0x52, 0x2E], "subprocess.Popen"),
      (F.global("builtins", "getattr") + [0x2E], "builtins.getattr"),
      (F.global("copyreg", "_reconstructor") + [0x2E], "copyreg._reconstructor"),
      (F.global("torch", "load") + [0x2E], "torch.load"),
      (F.global("torch", "hub.load") + [0x2E], "torch.hub.load"),
      (F.global("torch.storage", "_load_from_bytes") + [0x2E], "torch.storage._load_from_bytes"),
      (F.global("torch._utils", "_rebuild_tensor_v2.__globals__") + [0x2E], "__globals__"),
      (F.global("collections", "OrderedDict.__init__") + [0x2E], "OrderedDict.__init__"),
      // The name as strings on the stack.
      (F.string("os") + F.string("system") + [0x93, 0x2E], "os.system"),
      ([0x4E, 0x4E, 0x93, 0x2E], "STACK_GLOBAL"),
      // Strings that the memo holds, one with a line end in it, and a name that is no text.
      (
        F.string("os") + [0x94] + F.string("system") + [0x94, 0x68, 0, 0x68, 1, 0x93],
        "os.system"
      ),
      (F.string("os\nnot") + F.string("system") + [0x93, 0x2E], "not.system"),
      (F.string("builtins") + [0x8C, 4] + Array("eval".utf8) + [0x93, 0x2E], "builtins.eval"),
      ([0x4B, 1, 0x4B, 2, 0x93, 0x2E], "STACK_GLOBAL"),
      // Chains that end in something harmful, of names that look harmless.
      (F.global("builtins", "getattr.__self__.exec") + [0x2E], "getattr.__self__.exec"),
      (
        F.global("operator", "attrgetter") + F.tuple([F.string("system")]) + [0x52, 0x2E],
        "operator.attrgetter"
      ),
      (F.global("functools", "partial") + [0x2E], "functools.partial"),
      (F.global("importlib", "import_module") + [0x2E], "importlib.import_module"),
      (F.global("copyreg", "__newobj__") + [0x2E], "copyreg.__newobj__"),
      (F.global("torch._utils", "__builtins__") + [0x2E], "torch._utils.__builtins__"),
      (F.global("numpy.testing._private.utils", "runstring") + [0x2E], "runstring"),
      (F.global("pickle", "loads") + [0x2E], "pickle.loads"),
      (F.global("torch", " FloatStorage") + [0x2E], "torch. FloatStorage"),
      (F.global("torch._utils", "_rebuild_tensor_v2 ") + [0x2E], "_rebuild_tensor_v2 "),
      // Opcodes that make objects, or that no dictionary of tensors needs.
      ([0x28] + F.string("touch pwned") + [0x69] + Array("os\nsystem\n".utf8), "INST"),
      ([0x28] + F.global("collections", "OrderedDict") + [0x6F], "OBJ"),
      (F.global("collections", "OrderedDict") + [0x29, 0x81], "NEWOBJ"),
      ([0x7D, 0x7D, 0x7D, 0x92], "NEWOBJ_EX"), ([0x82, 1], "EXT1"), ([0x83, 1, 0], "EXT2"),
      ([0x84, 1, 0, 0, 0], "EXT4"), ([0x50] + Array("id\n".utf8), "PERSID"),
      ([0x8B, 0xFF, 0xFF, 0xFF, 0x7F], "LONG4"), ([0x8B, 0xFF, 0xFF, 0xFF, 0xFF], "LONG4"),
      ([0x8B, 0, 0, 0, 0], "LONG4"), ([0x4C] + Array("1L\n".utf8), "LONG"),
      ([0x49] + Array("1\n".utf8), "INT"), ([0x46] + Array("1.0\n".utf8), "FLOAT"),
      ([0x8A, 0xFF], "an integer of 255 bytes"),
      ([0x97], "NEXT_BUFFER"), ([0x96] + F.little(1 << 40, 8), "BYTEARRAY8"), ([0x32], "DUP"),
      ([0xFE], "0xfe"), ([0x80, 0], "protocol 0"), ([0x80, 9], "protocol 9"),
      // BUILD sets attributes, REDUCE calls what it is given.
      (F.global("torch", "Size") + [0x7D, 0x62, 0x2E], "BUILD"),
      ([0x7D, 0x4E, 0x62, 0x2E], "BUILD"),
      ([0x7D, 0x29, 0x52, 0x2E], "a call of a dictionary"),
      (F.global("torch", "FloatStorage") + [0x29, 0x52, 0x2E], "torch.FloatStorage with 0"),
      (
        F.global("collections", "OrderedDict") + F.tuple([[0x5D]]) + [0x52, 0x2E],
        "with 1 arguments"
      ),
      ([0x4E, 0x4E, 0x61, 0x2E], "APPEND"), ([0x4E, 0x4E, 0x4E, 0x73, 0x2E], "SETITEMS"),
    ] as [([UInt8], String)])
  func refuses(pickle: [UInt8], name: String) throws {
    let error = try #require(try error(F.checkpoint(pickle)))
    guard case .refusedPickle = error else {
      Issue.record("expected a refusal, found \(error)")
      return
    }
    #expect(error.category == .unsupported)
    #expect(error.description.contains(name) && error.description.contains("at byte"))
    // The old format is several of the same.
    let magic: [UInt8] = [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    let legacy: [UInt8] = [0x80, 2] + magic + [0x2E, 0x80, 2] + pickle
    #expect(try self.error(legacy)?.category == .unsupported)
  }

  /// Pickles that are merely broken.
  @Test(
    arguments: [
      [], [0x2E], [0x52], [0x74], [0x61], [0x68, 0], [0x6A, 0xFF, 0xFF, 0xFF, 0xFF], [0x71, 0],
      [0x58, 0xFF, 0xFF, 0xFF, 0xFF], [0x8C, 9],
      // Frames that are cut off.
      [0x95] + F.little(1 << 63, 8), [0x95, 1, 0], [0x28, 0x2E], [0x4E, 0x4E, 0x2E], [0x4E, 0x2E],
      [0x5D, 0x2E], [0x4E, 0x28, 0x85], [0x63] + [UInt8](repeating: 0x61, count: 100_000),
      [0x7D, 0x4E, 0x4E, 0x73, 0x2E], [0x29, 0x51, 0x2E], [0x4E, 0x51, 0x2E],
      F.tuple([F.string("storage"), F.global("torch", "Size"), F.string("0"), [0x4E], [0x4B, 1]])
        + [0x51, 0x2E],
      F.global("torch._utils", "_rebuild_tensor_v2")
        + F.tuple([[UInt8]](repeating: [0x4E], count: 6))
        + [0x52, 0x2E],
    ] as [[UInt8]])
  func damaged(pickle: [UInt8]) throws {
    #expect(try error(F.checkpoint(pickle))?.category == .damaged)
  }

  /// Views beyond their storage, storages beyond their bytes or missing, sizes that overflow.
  @Test(arguments: [
    F.tensor(offset: 1), F.tensor(offset: -1), F.tensor(offset: .max), F.tensor(shape: [4, 5]),
    F.tensor(shape: [-1, 4]), F.tensor(shape: [.max, .max]), F.tensor(strides: [.max, 1]),
    F.tensor(strides: [-4, 1]), F.tensor(shape: [4, 4, 1]),
    F.tensor(storage: F.storage(count: 17), shape: [17], strides: [1]),
    F.tensor(storage: F.storage(count: .max)), F.tensor(storage: F.storage(count: -1)),
    F.tensor(storage: F.storage("DoubleStorage")), F.tensor(storage: F.storage(key: "1")),
    F.tensor(storage: F.storage(key: "../data.pkl/../0")),
    F.tensor(shape: [Int](repeating: 2, count: 4) + [Int](repeating: 1, count: 60)),
  ])
  func tensorsAreNotBelieved(pickle: [UInt8]) throws {
    #expect(try error(F.checkpoint(pickle))?.category == .damaged)
  }

  @Test func goodOnesAreRead() throws {
    // The length of a frame is a hint to readers of streams, and leads nowhere.
    for length in [1 << 20, 1 << 63, .max] as [UInt64] {
      let frame = [0x95] + F.little(length, 8)
      #expect(try error(F.checkpoint(frame + F.tensor()))?.category == .invalidWeights)
    }
    // The tensor is read; what is missing are the model's.
    #expect(try error(F.checkpoint(F.tensor()))?.category == .invalidWeights)
    #expect(
      try error(F.checkpoint(F.tensor(shape: [0, 4], strides: [4, 1])))?.category
        == .invalidWeights)
  }

  /// Structures that unfold to more than any memory holds, or nest deeper than any stack.
  @Test func bombs() throws {
    // Each list holds the one before twice: 2^64 elements if anyone counted.
    var laughs: [UInt8] = [0x5D, 0x94]
    for index in 0..<64 {
      laughs += [0x28, 0x68, UInt8(index), 0x68, UInt8(index), 0x74, 0x94]
    }
    #expect(try error(F.checkpoint(laughs + [0x2E]))?.category == .damaged)
    // A million levels of tuples and of lists within themselves, and values without end.
    let deep = [UInt8](repeating: 0x85, count: 1_000_000)
    #expect(try error(F.checkpoint([0x29] + deep + [0x2E]))?.category == .damaged)
    #expect(try error(F.checkpoint([0x5D, 0x94, 0x68, 0, 0x61, 0x2E]))?.category == .damaged)
    for opcode in [0x4E, 0x28, 0x5D, 0x7D, 0x29] as [UInt8] {
      let many = [UInt8](repeating: opcode, count: 3_000_000)
      #expect(try error(F.checkpoint(many))?.category == .damaged)
    }
    // A dictionary in itself, and memo numbers far apart.
    #expect(
      try error(F.checkpoint([0x7D, 0x94] + F.string("a") + [0x68, 0, 0x73, 0x2E])) != nil)
    #expect(try error(F.checkpoint([0x4E, 0x72, 0xFF, 0xFF, 0xFF, 0xFF, 0x2E])) != nil)
    var places: [UInt8] = [0x4E]
    for index in 0..<400_000 as Range<UInt64> { places += [0x72] + F.little(index << 12, 4) }
    #expect(try error(F.checkpoint(places + [0x2E]))?.category == .damaged)
    let marks = [UInt8](repeating: 0x28, count: 1_000_000)
    let closed = [UInt8](repeating: 0x74, count: 1_000_000)
    #expect(try error(F.checkpoint(marks + closed + [0x2E]))?.category == .damaged)
    let memo = [UInt8]([0x4E]) + [UInt8](repeating: 0x94, count: 3_000_000)
    #expect(try error(F.checkpoint(memo))?.category == .damaged)
  }

  /// Archives: compressed, encrypted, overlapping, outside of the file, doubled, missing.
  @Test(arguments: [
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], method: 8, size: 1 << 31)]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], method: 93)]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], flags: 1)]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], size: 4_000_000_000)]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], size: 2, storedSize: 3)]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], start: 4_000_000_000)]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1, 2, 3], start: 1)]),
    // A directory that lists one file many times: the classic zip bomb.
    F.zip([
      F.Entry(name: "a/data.pkl", bytes: [UInt8](repeating: 0, count: 999)),
      F.Entry(name: "b", bytes: [], size: 900, start: 0),
    ]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1]), F.Entry(name: "a/data.pkl", bytes: [1])]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1]), F.Entry(name: "b/data.pkl", bytes: [1])]),
    F.zip([F.Entry(name: "a/other", bytes: [1])]), F.zip([]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1])], count: 2),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1])], count: .max),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1])], directory: 0),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [1])], directory: .max),
    // Zip64 sizes that do not fit in 63 bits, and an extension that is cut off.
    F.zip([
      F.Entry(
        name: "a/data.pkl", bytes: [1], size: .max, storedSize: .max,
        extra: [1, 0, 16, 0] + [UInt8](repeating: 0xFF, count: 16))
    ]),
    F.zip([
      F.Entry(name: "a/data.pkl", bytes: [1], size: .max, storedSize: .max, extra: [1, 0, 99, 0])
    ]),
    F.zip([F.Entry(name: "a/data.pkl", bytes: [0x2E])], comment: [0x50, 0x4B, 5, 6]),
  ])
  func archivesAreNotBelieved(archive: [UInt8]) throws {
    #expect(try error(archive)?.category == .damaged)
  }

  @Test func bigEndian() throws {
    let archive = F.zip([
      F.Entry(name: "a/data.pkl", bytes: [0x80, 2] + F.tensor()),
      F.Entry(name: "a/byteorder", bytes: Array("big".utf8)),
      F.Entry(name: "a/data/0", bytes: [UInt8](repeating: 0, count: 64)),
    ])
    #expect(try error(archive)?.category == .unsupported)
  }

  @Test func shardsMayNotLeaveTheFolder() throws {
    for name in ["../a.bin", "/etc/passwd", "..", "a/b.bin"] {
      let fixture = try CheckpointFixture()
      try fixture.write(CheckpointFixture.llamaConfiguration)
      try fixture.write(
        #"{"weight_map":{"a":"\#(name)"}}"#, to: "pytorch_model.bin.index.json")
      #expect(openingError(fixture.path)?.category == .damaged)
    }
  }
}
