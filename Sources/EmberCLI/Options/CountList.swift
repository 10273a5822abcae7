import ArgumentParser

/// `128,512`
struct CountList: ExpressibleByArgument {
  var counts: [Int]

  init?(argument: String) {
    counts = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let count = Int(part), count >= 0 else { return nil }
      counts.append(count)
    }
  }
}
