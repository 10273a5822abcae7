import EmberKernels
import Foundation

/// Memory that can be had without taking it from anybody.
package enum AvailableMemory {
  #if os(Linux)
    /// Bytes: the system's, or what the container leaves where that is less. The page cache counts
    /// as available, because the system gives it back.
    package static var bytes: Int {
      let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
      let system = ControlGroup.field("MemAvailable:", in: text).map { $0 * 1024 }
      return min(system ?? 1 << 30, ControlGroup.current.availableMemory ?? .max)
    }
  #else
    /// Bytes: half of the memory there is, since what is in use is not known exactly.
    package static var bytes: Int {
      Int(clamping: ProcessInfo.processInfo.physicalMemory / 2)
    }
  #endif
}
