import Foundation
import SystemPackage

/// The residual stream of all windows between two layers, [tokens][width] floats.
///
/// In memory while it is small, else in a file that has no name any more, so that it goes away
/// however the process ends.
final class HiddenStates {
  private enum Storage {
    case memory(UnsafeMutablePointer<Float>)
    case file(FileDescriptor, folder: String)
  }

  private let storage: Storage
  private let count: Int

  /// - Parameters:
  ///   - count: floats.
  ///   - limit: bytes from which on they lie in a file.
  init(count: Int, limit: Int) throws(CalibrationError) {
    self.count = count
    if count <= limit / 4 {
      storage = .memory(.aligned(count))
      return
    }
    let folder = FileManager.default.temporaryDirectory.path
    let digits = String(UInt64.random(in: .min ... .max), radix: 16)
    let path = FilePath(folder).appending(".ember-states.\(digits).ember-tmp")
    do {
      let descriptor = try FileDescriptor.open(
        path, .readWrite, options: [.create, .exclusiveCreate, .closeOnExec],
        permissions: .ownerReadWrite)
      // Best effort: where a name cannot be removed, the file stays behind, and that is all.
      try? FileManager.default.removeItem(atPath: path.string)
      storage = .file(descriptor, folder: folder)
    } catch {
      throw .temporaryFile(
        folder: folder, operation: "create", error as? Errno ?? .ioError)
    }
  }

  deinit {
    switch storage {
    case .memory(let memory): memory.deallocate()
    case .file(let descriptor, _): try? descriptor.close()
    }
  }

  /// Fills `buffer` from float `index` on; it must have been stored before.
  func load(_ index: Int, into buffer: UnsafeMutableBufferPointer<Float>) throws(CalibrationError) {
    precondition(index >= 0 && index + buffer.count <= count)
    switch storage {
    case .memory(let memory):
      _ = buffer.update(from: UnsafeBufferPointer(start: memory + index, count: buffer.count))
    case .file(let descriptor, let folder):
      let bytes = UnsafeMutableRawBufferPointer(buffer)
      var done = 0
      while done < bytes.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
        var read = 0
        do {
          read = try descriptor.read(
            fromAbsoluteOffset: Int64(4 * index + done), into: rest)
        } catch {
          throw .temporaryFile(
            folder: folder, operation: "read", error as? Errno ?? .ioError)
        }
        if read == 0 { throw .temporaryFile(folder: folder, operation: "read", .ioError) }
        done += read
      }
    }
  }

  /// Keeps `buffer` from float `index` on.
  func store(_ buffer: UnsafeBufferPointer<Float>, at index: Int) throws(CalibrationError) {
    precondition(index >= 0 && index + buffer.count <= count)
    switch storage {
    case .memory(let memory):
      guard let base = buffer.baseAddress else { return }
      (memory + index).update(from: base, count: buffer.count)
    case .file(let descriptor, let folder):
      do {
        try descriptor.writeAll(
          toAbsoluteOffset: Int64(4 * index), UnsafeRawBufferPointer(buffer))
      } catch {
        throw .temporaryFile(
          folder: folder, operation: "write", error as? Errno ?? .ioError)
      }
    }
  }
}
