import Foundation

/// What a figure was measured on.
package enum Machine {
  /// The processor's name as the system reports it; the architecture where it does not.
  package static let processor: String = {
    #if os(Linux)
      let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      for line in text.split(separator: "\n") where line.hasPrefix("model name") {
        guard let colon = line.firstIndex(of: ":") else { continue }
        return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      }
    #else
      var size = 0
      if sysctlbyname("machdep.cpu.brand_string", nil, &size, nil, 0) == 0, size > 1 {
        var name = [UInt8](repeating: 0, count: size)
        if sysctlbyname("machdep.cpu.brand_string", &name, &size, nil, 0) == 0 {
          return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        }
      }
    #endif
    #if arch(x86_64)
      return "x86-64"
    #else
      return "arm64"
    #endif
  }()

  /// Processors that the system has running, hardware threads counted.
  package static var processorCount: Int { ProcessInfo.processInfo.activeProcessorCount }

  /// The first fields of every report.
  static var fields: [ReportField] {
    [("machine", .text(processor)), ("processors", .integer(processorCount))]
  }
}
