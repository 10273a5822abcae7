import EmberKernels
import Foundation

/// How much memory a process may take, all in all.
public enum MemoryBudget: Sendable, Equatable {
  /// What the machine or the container has available, less some headroom.
  case automatic
  /// Bytes.
  case bytes(Int)
  /// No limit: everything is mapped, and the system sees to it.
  case unlimited

  /// Bytes that this process may have in the end, nil for no limit.
  package func resolved(resident: Int) -> Int? {
    switch self {
    case .unlimited: nil
    case .bytes(let count): count
    case .automatic: Self.automaticBytes(resident: resident)
    }
  }

  /// What the process has, and of what is available as much as leaves the others some room.
  private static func automaticBytes(resident: Int) -> Int {
    let (available, isContained) = AvailableMemory.bytesAndOrigin
    if isContained {
      // Nobody else is in there, but the kernel's bookkeeping (page tables are a 512th) and the page
      // cache need a little. Pages of programs and libraries may have been charged to whoever used
      // them first.
      return ProcessMemory.anonymous + max(0, available - available / 200 - (4 << 20))
    }
    return resident + available / 10 * 9
  }
}

/// Memory of this process.
public enum ProcessMemory {
  /// Bytes that it has resident now, mapped files included; 0 where the system does not say.
  public static var resident: Int { ProcessMemory.status("VmRSS:") ?? peak }

  /// Of them, those that no file stands behind.
  static var anonymous: Int { status("RssAnon:") ?? resident }

  /// The most that it had resident so far; 0 where the system does not say.
  public static var peak: Int {
    #if os(Linux)
      // Not getrusage: its figure includes what the process had before it became this program, a
      // copy of the memory of whoever started it.
      return status("VmHWM:") ?? 0
    #else
      var usage = rusage()
      return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : 0
    #endif
  }

  /// A line of /proc/self/status, in bytes.
  private static func status(_ name: String) -> Int? {
    #if os(Linux)
      let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
      for line in text.split(separator: "\n") where line.hasPrefix(name) {
        let words = line.split { $0 == " " || $0 == "\t" }
        if words.count == 3, let kilobytes = Int(words[1]) { return kilobytes * 1024 }
      }
    #endif
    return nil
  }
}
