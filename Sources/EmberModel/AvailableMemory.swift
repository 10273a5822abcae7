import EmberKernels
import Foundation

/// Memory that can be had without taking it from anybody.
package enum AvailableMemory {
  /// Bytes: the system's, or what the container leaves where that is less. The page cache counts
  /// as available, because the system gives it back.
  package static var bytes: Int { bytesAndOrigin.bytes }

  /// Whether memory that no file stands behind can be taken away, to be read again from the swap.
  static var hasSwap: Bool {
    #if os(Linux)
      let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
      return (ControlGroup.field("SwapTotal:", in: text) ?? 0) > 0
    #else
      return true
    #endif
  }

  #if os(Linux)
    /// The same, and whether it is a container that sets the limit.
    static var bytesAndOrigin: (bytes: Int, isContained: Bool) {
      let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
      let system = ControlGroup.field("MemAvailable:", in: text).map { $0 * 1024 } ?? 1 << 30
      guard let container = ControlGroup.current.availableMemory, container < system else {
        return (system, false)
      }
      return (container, true)
    }
  #else
    /// Half of the memory there is, since what is in use is not known exactly.
    static var bytesAndOrigin: (bytes: Int, isContained: Bool) {
      (Int(clamping: ProcessInfo.processInfo.physicalMemory / 2), false)
    }
  #endif
}
