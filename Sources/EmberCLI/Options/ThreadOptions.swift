import ArgumentParser

/// How many threads to compute on.
struct ThreadOptions: ParsableArguments {
  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Threads to compute on, 1 to 1024. The result does not depend on it."
        + " (default: the physical cores that this process may use)",
      valueName: "count"), transform: wholeNumber)
  var threads: Int?

  func validate() throws {
    try require("--threads", threads, in: 1...1024)
  }
}

/// - Throws: `ValidationError`, which says what was expected.
func require(_ name: String, _ value: Int?, in range: ClosedRange<Int>) throws {
  guard let value, !range.contains(value) else { return }
  let expected =
    range.upperBound == .max
    ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
  throw ValidationError("\(name): expected \(expected), found \(value)")
}
