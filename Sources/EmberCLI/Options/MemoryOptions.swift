import ArgumentParser
import Ember

/// How much memory the process may take.
struct MemoryOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory that the process may take, such as 900M or 1.5G (powers of ten) or 1GiB, or auto: what"
        + " the machine or the container has available. Weights that do not fit are read from the"
        + " file for every token. (default: auto)",
      valueName: "size"))
  var memory: MemorySize?

  @Flag(name: .long, help: "Run with the least memory where the budget is too small for it.")
  var force = false

  var budget: MemoryBudget { memory?.budget ?? .automatic }

  /// What to ask of a plan.
  func request(
    context: MemoryRequest.Context, cachePrecision: CachePrecision, chunkLength: Int? = nil
  ) -> MemoryRequest {
    MemoryRequest(
      budget: budget, context: context, cachePrecision: cachePrecision,
      chunkLength: chunkLength, isForced: force)
  }
}

/// The same for a conversion.
struct QuantizeMemoryOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory that the process may take, such as 900M or 1.5G (powers of ten) or 1GiB, or auto: what"
        + " the machine or the container has available. It changes nothing in the file."
        + " (default: auto)",
      valueName: "size"))
  var memory: MemorySize?

  @Flag(name: .long, help: "Begin even where the conversion takes more than that.")
  var force = false
}

/// `900M`, `1.5G`, `1GiB`, `1000000000` or `auto`
struct MemorySize: ExpressibleByArgument, Equatable {
  let budget: MemoryBudget

  init?(argument: String) {
    if argument == "auto" {
      budget = .automatic
      return
    }
    let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let units: [String: Double] = [
      "": 1, "B": 1, "K": 1e3, "KB": 1e3, "M": 1e6, "MB": 1e6, "G": 1e9, "GB": 1e9, "T": 1e12,
      "TB": 1e12, "KIB": 1024, "MIB": 1_048_576, "GIB": 1_073_741_824, "TIB": 1_099_511_627_776,
    ]
    guard let value = Double(digits),
      let unit = units[argument.dropFirst(digits.count).uppercased()],
      value > 0, value * unit >= 1, value * unit < 1e18
    else { return nil }
    budget = .bytes(Int(value * unit))
  }
}

/// `4096` or `auto`
struct ContextLength: ExpressibleByArgument, Equatable {
  let request: MemoryRequest.Context

  init?(argument: String) {
    if argument == "auto" {
      request = .automatic
    } else {
      guard let count = Int(argument) else { return nil }
      request = .positions(count)
    }
  }

  var positions: Int? {
    if case .positions(let count) = request { count } else { nil }
  }
}
