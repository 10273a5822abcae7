import SystemPackage

/// What a path leads to, as far as choosing a reader needs to know.
enum PathKind: Sendable, Equatable {
  case nothing
  case file
  case folder
  /// A pipe, a device, a socket, or what may not be looked at: opening it says why.
  case other

  init(of path: FilePath) {
    do {
      switch try path.stat().type {
      case .regular: self = .file
      case .directory: self = .folder
      default: self = .other
      }
    } catch {
      self = error == .noSuchFileOrDirectory ? .nothing : .other
    }
  }
}
