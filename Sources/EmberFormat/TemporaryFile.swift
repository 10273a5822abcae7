import SystemPackage

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A file that becomes the target all at once, or not at all.
///
/// It is written beside the target, `.model.q4.0123456789abcdef.ember-tmp`, and renamed at the
/// end. Its writer holds a lock on it, which the kernel releases however the writer ends; so a
/// temporary file whose lock can be taken is of a dead run, and the next run for the same target
/// removes it.
package struct TemporaryFile: ~Copyable {
  let file: OpenFile
  /// The resolved target: a symbolic link stays and its destination is replaced.
  let target: FilePath
  /// Permissions of the file that is replaced, nil where there is none.
  private let permissions: mode_t?
  private var isCommitted = false

  package init(replacing path: FilePath) throws(FormatError) {
    let target = try Self.resolved(path)
    let permissions = try Self.permissions(ofTarget: target)
    let stem = Self.stem(of: target)
    let folder = Self.folder(of: target)
    Self.removeStale(stem: stem, in: folder)
    let file = try Self.create(stem: stem, in: folder, for: target)
    if let permissions {
      do {
        // Never wider than the old file, not even while it is being written; but always
        // readable for the owner, who may have to clean it up.
        try SystemCall.setPermissions(file.descriptor, permissions | 0o600)
      } catch {
        Self.remove(file.path)
        throw .writing(target, operation: "set permissions", error)
      }
    }
    self.file = file
    self.target = target
    self.permissions = permissions
  }

  deinit {
    if !isCommitted { Self.remove(file.path) }
  }

  /// Makes the bytes durable, then makes them the target.
  mutating func commit() throws(FormatError) {
    var operation = "set permissions"
    do {
      if let permissions { try SystemCall.setPermissions(file.descriptor, permissions) }
      operation = "sync"
      try SystemCall.synchronize(file.descriptor)
      operation = "rename into place"
      try SystemCall.rename(file.path, to: target)
    } catch {
      throw .writing(target, operation: operation, error)
    }
    isCommitted = true
    // The rename itself is durable only when the folder is. A folder that cannot be opened for
    // reading or synced (some network file systems) is left to the kernel.
    let folder = Self.folder(of: target)
    guard let descriptor = try? SystemCall.open(folder, O_RDONLY | O_DIRECTORY) else { return }
    defer { SystemCall.close(descriptor) }
    do {
      try SystemCall.synchronize(descriptor)
    } catch {
      guard error == .ioError else { return }
      throw .writing(target, operation: "sync the folder", error)
    }
  }

  /// The path behind symbolic links, whether or not anything is there yet.
  private static func resolved(_ path: FilePath) throws(FormatError) -> FilePath {
    var path = path
    for _ in 0..<40 {  // as deep as Linux follows
      guard let destination = SystemCall.linkDestination(path) else { return path }
      path = path.removingLastComponent().pushing(destination)
    }
    throw .cannotWrite(path, operation: "follow symbolic links", .tooManySymbolicLinkLevels)
  }

  private static func permissions(ofTarget target: FilePath) throws(FormatError) -> mode_t? {
    guard let last = target.lastComponent, last.kind == .regular else {
      throw .isDirectory(target)
    }
    let status: SystemCall.Status
    do {
      status = try SystemCall.status(target)
    } catch .noSuchFileOrDirectory {
      return nil
    } catch {
      throw .writing(target, operation: "look at the target", error)
    }
    if status.isDirectory { throw .isDirectory(target) }
    guard status.isRegularFile else { throw .notRegularFile(target) }
    // Rename would replace it all the same; but who protects a file wants to keep it.
    guard SystemCall.isWritable(target) else {
      throw .cannotWrite(target, operation: "replace a write-protected file", .permissionDenied)
    }
    return status.permissions
  }

  private static func create(
    stem: String, in folder: FilePath, for target: FilePath
  ) throws(FormatError) -> OpenFile {
    while true {
      let path = folder.appending(randomName(stem: stem))
      let descriptor: CInt
      do {
        descriptor = try SystemCall.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o644)
      } catch .fileExists {
        continue
      } catch {
        throw .writing(target, operation: "create a file in its folder", error)
      }
      let file = OpenFile(descriptor: descriptor, path: path)
      do {
        try SystemCall.lockWithoutWaiting(descriptor)
      } catch .wouldBlock {
        continue  // another run took it for stale between the two calls, and removes it
      } catch {
        // No locks on this file system: then nobody can take it for stale either.
        return file
      }
      // The other run may be done with removing: the name is gone although the lock is ours.
      guard try file.status().linkCount > 0 else { continue }
      return file
    }
  }

  private static func removeStale(stem: String, in folder: FilePath) {
    for name in SystemCall.names(in: folder) where isTemporary(name, stem: stem) {
      let path = folder.appending(name)
      guard let descriptor = try? SystemCall.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
      else { continue }
      defer { SystemCall.close(descriptor) }
      guard (try? SystemCall.lockWithoutWaiting(descriptor)) != nil else { continue }
      remove(path)
    }
  }

  /// Best effort: what cannot be removed now is found stale by the next run.
  private static func remove(_ path: FilePath) {
    try? SystemCall.unlink(path)
  }

  private static let suffix = ".ember-tmp"
  private static let suffixDigits = 16

  static func randomName(stem: String) -> String {
    let digits = String(UInt64.random(in: .min ... .max), radix: 16)
    return stem + String(repeating: "0", count: suffixDigits - digits.count) + digits + suffix
  }

  /// What the names of all temporary files of a target begin with. Names are limited to 255
  /// bytes, so a long one is cut, and told from others by its checksum.
  static func stem(of target: FilePath) -> String {
    let name = target.lastComponent?.string ?? ""
    guard name.utf8.count > 200 else { return ".\(name)." }
    var start = name.unicodeScalars.prefix(200)
    while String(start).utf8.count > 200 { start = start.dropLast() }
    return ".\(String(start))~\(hexadecimal(CRC32.checksum(Array(name.utf8))))."
  }

  static func isTemporary(_ name: String, stem: String) -> Bool {
    guard name.hasPrefix(stem), name.hasSuffix(suffix) else { return false }
    // Exactly the digits between: `a` must not take the files of `a.b` for its own.
    let middle = name.utf8.dropFirst(stem.utf8.count).dropLast(suffix.utf8.count)
    return middle.count == suffixDigits
      && middle.allSatisfy { byte in
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
      }
  }

  static func folder(of target: FilePath) -> FilePath {
    let folder = target.removingLastComponent()
    return folder.isEmpty ? "." : folder
  }
}
