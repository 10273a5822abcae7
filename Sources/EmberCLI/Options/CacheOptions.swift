import ArgumentParser
import Ember

/// How the key/value cache is stored.
struct CacheOptions: ParsableArguments {
  @Option(
    name: .customLong("cache-bits"),
    help: ArgumentHelp(
      "Bits per number of the key/value cache: 16, or 8, which takes half of the memory."
        + " (default: 16)",
      valueName: "bits"))
  var bits: Bits?

  enum Bits: Int, ExpressibleByArgument, CaseIterable {
    case sixteen = 16
    case eight = 8
  }

  var precision: CachePrecision { bits == .eight ? .int8 : .half }
}
