import Foundation

/// The most memory that this process had resident so far, mapped files included.
enum PeakMemory {
  /// 0 where the system does not say.
  static var bytes: Int {
    #if canImport(Glibc)
      let whose = RUSAGE_SELF.rawValue
    #else
      let whose = RUSAGE_SELF
    #endif
    var usage = rusage()
    guard getrusage(numericCast(whose), &usage) == 0 else { return 0 }
    #if os(Linux)
      return Int(usage.ru_maxrss) * 1024
    #else
      return Int(usage.ru_maxrss)
    #endif
  }
}
