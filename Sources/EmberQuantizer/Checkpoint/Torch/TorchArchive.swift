/// A file as PyTorch saves it since 1.6: a zip archive with `data.pkl` and a file for each storage.
enum TorchArchive {
  static func open(_ file: CheckpointFile) throws(CheckpointError) -> StoredTensors {
    let archive: ZipArchive
    do throws(ZipArchive.Failure) {
      archive = try ZipArchive(file)
    } catch {
      switch error {
      case .file(let error): throw error
      case .problem(let problem): throw .damagedTorch(path: file.path, problem: problem)
      }
    }
    let pickles = archive.entries.filter { $0.key == "data.pkl" || $0.key.hasSuffix("/data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first else {
      throw .damagedTorch(
        path: file.path, problem: "a zip archive with \(pickles.count) files data.pkl, expected one"
      )
    }
    let folder = pickle.key.dropLast("data.pkl".count)
    if let order = archive.entries[folder + "byteorder"] {
      guard order.count <= 16, try file.bytes(in: order) == Array("little".utf8) else {
        throw .unsupportedFormat(path: file.path, found: "a PyTorch checkpoint in big-endian order")
      }
    }
    guard pickle.value.count <= TorchWeights.pickleLimit else {
      throw .damagedTorch(
        path: file.path,
        problem: "expected a data.pkl of at most \(TorchWeights.pickleLimit) bytes, found"
          + " \(pickle.value.count)")
    }
    var cursor = FileCursor(file, from: pickle.value.lowerBound, end: pickle.value.upperBound)
    let (machine, result) = try TorchWeights.run(&cursor)
    return try TorchWeights.tensors(
      of: result, in: machine, file: file, format: "PyTorch"
    ) { storage throws(CheckpointError) in
      guard let place = archive.entries["\(folder)data/\(storage.key)"] else {
        throw .damagedTorch(path: file.path, problem: "the storage '\(storage.key)' is missing")
      }
      return place
    }
  }
}
