import Foundation

/// Numbers as text, the same in every locale.
enum Format {
  /// `2.38 MB (2,384,928 bytes)`
  static func bytes(_ count: Int) -> String {
    "\(shortBytes(count)) (\(grouped(count)) bytes)"
  }

  /// `2.38 MB`: powers of ten, as disks and networks count.
  static func shortBytes(_ count: Int) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"]
    var value = Double(count)
    var unit = 0
    // 999.995 would round to 1000.00.
    while value >= 999.995, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return unit == 0 ? "\(count) B" : "\(fixed(value, 2)) \(units[unit])"
  }

  /// `2,384,928`
  static func grouped(_ count: Int) -> String {
    let digits = Array(String(count.magnitude).utf8)
    var text = count < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { text += "," }
      text.unicodeScalars.append(Unicode.Scalar(digit))
    }
    return text
  }

  /// A fixed number of decimals.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    // Without a locale, this format is C's.
    String(format: "%.\(decimals)f", value)
  }

  /// Three significant digits, whatever the size: `0.00123`, `12.3`, `1.23e-07`.
  static func significant(_ value: Double, _ digits: Int = 3) -> String {
    value == 0 ? "0" : String(format: "%#.\(digits)g", value).trimmingSuffix(".")
  }

  static func percent(_ share: Double, _ decimals: Int = 2) -> String {
    fixed(share * 100, decimals) + " %"
  }

  /// `1:05` or `2:03:04`
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 360_000 else { return "?" }
    let whole = Int(seconds.rounded(.up))
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    let tail = (rest < 10 ? "0" : "") + "\(rest)"
    return hours == 0
      ? "\(minutes):\(tail)" : "\(hours):\(minutes < 10 ? "0" : "")\(minutes):\(tail)"
  }
}

extension String {
  fileprivate func trimmingSuffix(_ suffix: String) -> String {
    hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
  }

  /// Spaces before the text, up to a width in characters.
  func leftPadded(to width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }

  /// Spaces after the text, up to a width in characters.
  func rightPadded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
