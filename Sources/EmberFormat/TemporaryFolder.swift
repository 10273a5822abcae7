import SystemPackage

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A folder that becomes the target all at once, or not at all; for results of several files.
///
/// It is filled beside the target, `.model.0123456789abcdef.ember-tmp`, and renamed at the end. Its
/// maker holds a lock on it, as with `TemporaryFile`: the next run for the same target removes what a
/// dead one left.
package struct TemporaryFolder: ~Copyable {
  /// Where the files go until then.
  package let path: FilePath
  /// The folder it becomes.
  package let target: FilePath
  private let descriptor: CInt
  private var isCommitted = false

  /// - Throws: `cannotWrite` where the parent folder takes none, or the target is there and no
  ///   folder.
  package init(replacing target: FilePath) throws(FormatError) {
    guard let last = target.lastComponent, last.kind == .regular else {
      throw .cannotWrite(target, operation: "name a folder so", .invalidArgument)
    }
    if let status = try? SystemCall.status(target), !status.isDirectory {
      throw .cannotWrite(target, operation: "replace a file by a folder", .notDirectory)
    }
    let stem = TemporaryFile.stem(of: target)
    let parent = TemporaryFile.folder(of: target)
    Self.removeStale(stem: stem, in: parent)
    while true {
      let path = parent.appending(TemporaryFile.randomName(stem: stem))
      do {
        try SystemCall.makeFolder(path)
      } catch .fileExists {
        continue
      } catch {
        throw .writing(target, operation: "create a folder beside it", error)
      }
      do {
        descriptor = try SystemCall.open(path, O_RDONLY | O_DIRECTORY)
      } catch {
        throw .writing(target, operation: "open a folder beside it", error)
      }
      // Where there are no locks, nobody can take it for stale either.
      try? SystemCall.lockWithoutWaiting(descriptor)
      self.path = path
      self.target = target
      return
    }
  }

  deinit {
    if !isCommitted { Self.remove(path) }
    SystemCall.close(descriptor)
  }

  /// Makes the folder the target. Where the target is there already, its files of the same names are
  /// replaced, and others stay.
  ///
  /// - Parameters:
  ///   - key: the file without which nobody reads the folder: it goes first and comes last.
  ///   - stale: files of the target that would not fit to the new ones.
  package mutating func commit(
    key: String, removing stale: (String) -> Bool
  ) throws(FormatError) {
    var operation = "sync the folder"
    do {
      try SystemCall.synchronize(descriptor)
      operation = "rename into place"
      let names = SystemCall.names(in: path).filter { $0 != "." && $0 != ".." }
      let old = SystemCall.names(in: target).filter { $0 != "." && $0 != ".." }
      if old.isEmpty {
        try SystemCall.rename(path, to: target)
      } else {
        if old.contains(key) { try SystemCall.unlink(target.appending(key)) }
        for name in old where stale(name) { try SystemCall.unlink(target.appending(name)) }
        for name in names.filter({ $0 != key }) + [key] {
          try SystemCall.rename(path.appending(name), to: target.appending(name))
        }
        Self.remove(path)
      }
    } catch {
      throw .writing(target, operation: operation, error)
    }
    isCommitted = true
    // As for files: the rename is durable when the folder around it is.
    guard
      let parent = try? SystemCall.open(
        TemporaryFile.folder(of: target), O_RDONLY | O_DIRECTORY)
    else { return }
    defer { SystemCall.close(parent) }
    try? SystemCall.synchronize(parent)
  }

  private static func removeStale(stem: String, in parent: FilePath) {
    for name in SystemCall.names(in: parent) where TemporaryFile.isTemporary(name, stem: stem) {
      let path = parent.appending(name)
      guard let descriptor = try? SystemCall.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      else { continue }
      defer { SystemCall.close(descriptor) }
      guard (try? SystemCall.lockWithoutWaiting(descriptor)) != nil else { continue }
      remove(path)
    }
  }

  /// Best effort; there are only files in it.
  private static func remove(_ path: FilePath) {
    for name in SystemCall.names(in: path) where name != "." && name != ".." {
      try? SystemCall.unlink(path.appending(name))
    }
    try? SystemCall.removeFolder(path)
  }
}
