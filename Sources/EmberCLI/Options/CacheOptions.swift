import ArgumentParser
import Ember

extension CachePrecision: ExpressibleByArgument {}

/// How the key/value cache is stored.
struct CacheOptions: ParsableArguments {
  @Option(
    name: .customLong("cache-bits"),
    help: ArgumentHelp(
      "Bits per number of the key/value cache: 16, 8, 8/4 (keys in 8, values in 4) or 4."
        + " (default: 16)",
      valueName: "bits"))
  var bits: CachePrecision?

  var precision: CachePrecision { bits ?? .half }
}

/// Several ways to store the key/value cache, one after the other.
struct CacheListOptions: ParsableArguments {
  @Option(
    name: .customLong("cache-bits"),
    help: ArgumentHelp(
      "Bits per number of the key/value cache: 16, 8, 8/4 (keys in 8, values in 4) or 4; of a"
        + " list, such as 16,8,8/4,4, each model is run with every one. (default: 16)",
      valueName: "bits"))
  var bits: CacheList?

  var precisions: [CachePrecision] { bits?.precisions ?? [.half] }
}

/// `16,8/4`
struct CacheList: ExpressibleByArgument {
  var precisions: [CachePrecision]

  init?(argument: String) {
    precisions = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let precision = CachePrecision(rawValue: String(part)),
        !precisions.contains(precision)
      else { return nil }
      precisions.append(precision)
    }
  }
}
