import Foundation

/// The memory that this process has resident now.
enum ResidentMemory {
  /// Where the system does not say it simply, the most it had so far.
  static var bytes: Int {
    #if os(Linux)
      // Pages: all, resident, and others.
      if let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) {
        let fields = text.split(separator: " ")
        if fields.count > 1, let pages = Int(fields[1]) { return pages * Int(getpagesize()) }
      }
    #endif
    return PeakMemory.bytes
  }
}
