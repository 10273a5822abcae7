#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// Numbers as Python prints and computes them.
enum PythonNumber {
  /// `repr` of a float: the shortest digits that give it back, with an exponent below 10⁻⁴ and from
  /// 10¹⁶ on.
  static func text(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    // Swift's digits are the shortest too; only their form differs.
    var digits = ""
    var exponent = 0
    var point: Int?
    var rest = Substring("\(value.magnitude)")
    if let mark = rest.firstIndex(of: "e") {
      exponent = Int(rest[rest.index(after: mark)...]) ?? 0
      rest = rest[..<mark]
    }
    for character in rest {
      if character == "." { point = digits.count } else { digits.append(character) }
    }
    var before = (point ?? digits.count) + exponent
    let leading = digits.prefix { $0 == "0" }.count
    digits.removeFirst(leading)
    before -= leading
    while digits.last == "0" { digits.removeLast() }
    let sign = value.sign == .minus ? "-" : ""
    if digits.isEmpty { return sign + "0.0" }
    if before > -4, before <= 16 {
      if before <= 0 { return sign + "0." + String(repeating: "0", count: -before) + digits }
      if before >= digits.count {
        return sign + digits + String(repeating: "0", count: before - digits.count) + ".0"
      }
      return sign + digits.prefix(before) + "." + digits.dropFirst(before)
    }
    let power = before - 1
    let fraction = digits.count > 1 ? "." + digits.dropFirst() : ""
    let magnitude = "\(power.magnitude)"
    return sign + digits.prefix(1) + fraction + "e" + (power < 0 ? "-" : "+")
      + (magnitude.count < 2 ? "0" : "") + magnitude
  }

  /// Decimals, rounded half to even as the exact binary value says.
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite else { return text(value) }
    // 309 digits before the point at most.
    var buffer = [CChar](repeating: 0, count: 320 + max(0, min(decimals, 100)))
    let count = withVaList([Int32(max(0, min(decimals, 100))), value]) {
      vsnprintf(&buffer, buffer.count, "%.*f", $0)
    }
    return String(decoding: buffer.prefix(max(0, Int(count))).map(UInt8.init), as: UTF8.self)
  }

  private static let overflow = TemplateFailure.limit("a whole number is beyond 64 bits")

  static func checked(
    _ result: (partialValue: Int, overflow: Bool)
  ) throws(TemplateFailure) -> Int {
    if result.overflow { throw overflow }
    return result.partialValue
  }

  /// Towards minus infinity.
  static func floorDivide(_ left: Int, _ right: Int) throws(TemplateFailure) -> Int {
    if right == 0 { throw .evaluation("division by zero") }
    let quotient = try checked(left.dividedReportingOverflow(by: right))
    return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient
  }

  /// With the sign of the divisor.
  static func remainder(_ left: Int, _ right: Int) throws(TemplateFailure) -> Int {
    if right == 0 { throw .evaluation("division by zero") }
    if right == -1 { return 0 }
    let rest = left % right
    return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest
  }

  static func remainder(_ left: Double, _ right: Double) throws(TemplateFailure) -> Double {
    if right == 0 { throw .evaluation("division by zero") }
    let rest = left.truncatingRemainder(dividingBy: right)
    return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest
  }

  static func power(_ base: Int, _ exponent: Int) throws(TemplateFailure) -> Int {
    var result = 1
    var square = base
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result = try checked(result.multipliedReportingOverflow(by: square)) }
      rest >>= 1
      if rest > 0 { square = try checked(square.multipliedReportingOverflow(by: square)) }
    }
    return result
  }

  /// `int` of a float: without its fraction.
  static func truncated(_ value: Double) throws(TemplateFailure) -> Int {
    guard let whole = Int(exactly: value.rounded(.towardZero)) else { throw overflow }
    return whole
  }

  /// `int` of a text, in base 10: spaces around it and `_` between digits are allowed.
  static func parseInteger(_ text: TemplateText) -> Int? {
    Int(text.stripped().string.filter { $0 != "_" })
  }

  static func parseNumber(_ text: TemplateText) -> Double? {
    Double(text.stripped().string.filter { $0 != "_" })
  }
}
