#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// What `strftime_now` reads: the local time, or a fixed one.
package struct TemplateClock: Sendable {
  /// Seconds since 1970; nil for now.
  private let fixed: Int?

  package init(secondsSince1970: Int? = nil) { fixed = secondsSince1970 }

  /// The time by a format of C's `strftime`; nil where the result is longer than a date can be.
  func text(_ format: String) -> String? {
    if format.isEmpty { return "" }
    var seconds = fixed.map { time_t($0) } ?? time(nil)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return nil }
    var buffer = [CChar](repeating: 0, count: 256)
    let count = strftime(&buffer, buffer.count, format, &parts)
    return count == 0 ? nil : String(decoding: buffer[..<count].map(UInt8.init), as: UTF8.self)
  }
}
