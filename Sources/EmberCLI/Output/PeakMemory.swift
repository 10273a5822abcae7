import Foundation

/// The most memory that this process had resident so far, mapped files included.
enum PeakMemory {
  /// 0 where the system does not say.
  static var bytes: Int {
    #if os(Linux)
      // Not getrusage: its figure includes what the process had before it became this program, a
      // copy of the memory of whoever started it.
      let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
      for line in status.split(separator: "\n") where line.hasPrefix("VmHWM:") {
        let words = line.split { $0 == " " || $0 == "\t" }
        if words.count == 3, let kilobytes = Int(words[1]) { return kilobytes * 1024 }
      }
      return 0
    #else
      var usage = rusage()
      return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : 0
    #endif
  }
}
