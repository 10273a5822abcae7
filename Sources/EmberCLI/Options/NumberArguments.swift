import ArgumentParser

/// - Throws: `ValidationError`, which says what was expected.
@Sendable func wholeNumber(_ argument: String) throws -> Int {
  guard let value = Int(argument) else {
    throw ValidationError("expected a whole number of at most \(Int.max), found \(shown(argument))")
  }
  return value
}

/// - Throws: `ValidationError`, which says what was expected.
@Sendable func seedNumber(_ argument: String) throws -> UInt64 {
  guard let value = UInt64(argument) else {
    throw ValidationError(
      "expected a whole number from 0 to \(UInt64.max), found \(shown(argument))")
  }
  return value
}

/// - Throws: `ValidationError`, which says what was expected.
@Sendable func decimalNumber(_ argument: String) throws -> Float {
  guard let value = Float(argument) else {
    throw ValidationError("expected a number, found \(shown(argument))")
  }
  return value
}

/// The decimal that was typed, not the Float nearest to it.
func decimal(_ value: Float) -> Double { Double("\(value)") ?? Double(value) }

func shown(_ argument: String) -> String { argument.isEmpty ? "an empty text" : argument }
