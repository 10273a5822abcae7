import EmberKernels

/// Which experts the tokens of a step are given to, and with which weights.
///
/// The numbers of phases of a layer follow from which experts any of its tokens is given to, and a
/// worker that comes late goes through the phases of layers that the others have left behind. So
/// these lists are kept for every layer until the step ends; the others are only read by pieces of
/// the layer that is being computed.
final class ExpertRouting: @unchecked Sendable {
  // Sendable for the reason given at ForwardPass.

  /// E, experts of a layer.
  let count: Int
  /// k, those that a token is given to.
  let used: Int

  /// [T][k] experts of a token, ascending, and their weights
  private let choices: UnsafeMutablePointer<Int32>
  private let shares: UnsafeMutablePointer<Float>
  /// [T · k] tokens, those of the first expert first, and their weights
  private let members: UnsafeMutablePointer<Int32>
  private let memberShares: UnsafeMutablePointer<Float>
  /// [layers][E] experts that any token is given to, ascending, and [layers] how many
  private let active: UnsafeMutablePointer<Int32>
  private let activeCounts: UnsafeMutablePointer<Int>
  /// [layers][E + 1] where an expert's members begin
  private let starts: UnsafeMutablePointer<Int>

  init(_ shape: Architecture.Experts, layers: Int, capacity: Int) {
    func zeros<Element: BinaryInteger>(_ count: Int) -> UnsafeMutablePointer<Element> {
      let buffer = UnsafeMutablePointer<Element>.aligned(count)
      buffer.initialize(repeating: 0, count: count)
      return buffer
    }
    count = shape.count
    used = shape.used
    choices = zeros(capacity * used)
    members = zeros(capacity * used)
    active = zeros(layers * count)
    activeCounts = zeros(layers)
    starts = zeros(layers * (count + 1))
    shares = .aligned(capacity * used)
    shares.initialize(repeating: 0, count: capacity * used)
    memberShares = .aligned(capacity * used)
    memberShares.initialize(repeating: 0, count: capacity * used)
  }

  deinit {
    choices.deallocate()
    shares.deallocate()
    members.deallocate()
    memberShares.deallocate()
    active.deallocate()
    activeCounts.deallocate()
    starts.deallocate()
  }

  static func byteCount(_ shape: Architecture.Experts, layers: Int, capacity: Int) -> Int {
    // Layers and experts are below 2^16 each: no overflow.
    capacity * shape.used * 16 + layers * (12 * shape.count + 16)
  }

  /// Chooses for token t: those of the largest scores, of equal ones the first.
  ///
  /// - Parameter scores: [E] of the router; probabilities afterwards, times a factor.
  func choose(
    _ t: Int, _ scores: UnsafeMutablePointer<Float>, normalizes: Bool, kernels: Kernels
  ) {
    let choices = choices + t * used
    let shares = shares + t * used
    let total = kernels.table.exponentials(scores, kernels.table.maximum(scores, count), count)
    // The best so far, the first of equals first; scores that are no numbers choose someone, too.
    var found = 0
    for expert in 0..<count {
      if found == used, !(scores[expert] > scores[Int(choices[used - 1])]) { continue }
      var place = found < used ? found : used - 1
      while place > 0, scores[expert] > scores[Int(choices[place - 1])] {
        choices[place] = choices[place - 1]
        place -= 1
      }
      choices[place] = Int32(expert)
      if found < used { found += 1 }
    }
    // Ascending, so that sums over a token's experts have one order.
    for i in 1..<max(1, used) {
      let expert = choices[i]
      var place = i
      while place > 0, choices[place - 1] > expert {
        choices[place] = choices[place - 1]
        place -= 1
      }
      choices[place] = expert
    }
    var sum: Float = 0
    for i in 0..<used {
      shares[i] = scores[Int(choices[i])]
      sum += shares[i]
    }
    for i in 0..<used { shares[i] /= normalizes ? sum : total }
  }

  /// Makes the lists of a layer from the choices of `tokens` tokens.
  func list(tokens: Int, layer: Int) {
    let starts = starts + layer * (count + 1)
    let active = active + layer * count
    starts.update(repeating: 0, count: count + 1)
    for i in 0..<tokens * used { starts[Int(choices[i]) + 1] += 1 }
    var listed = 0
    for expert in 0..<count {
      if starts[expert + 1] > 0 {
        active[listed] = Int32(expert)
        listed += 1
      }
      starts[expert + 1] += starts[expert]
    }
    activeCounts[layer] = listed
    // Fills the places from the front, which moves the starts to the next ones', and then back.
    for i in 0..<tokens * used {
      let expert = Int(choices[i])
      members[starts[expert]] = Int32(i / used)
      memberShares[starts[expert]] = shares[i]
      starts[expert] += 1
    }
    for expert in stride(from: count, to: 0, by: -1) { starts[expert] = starts[expert - 1] }
    starts[0] = 0
  }

  /// Experts that any token is given to.
  func activeCount(layer: Int) -> Int { activeCounts[layer] }

  func active(_ index: Int, layer: Int) -> Int { Int(active[layer * count + index]) }

  /// The active experts, ascending, [activeCount].
  func activeExperts(layer: Int) -> UnsafeBufferPointer<Int32> {
    UnsafeBufferPointer(start: active + layer * count, count: activeCounts[layer])
  }

  /// Where an expert's tokens are among the members.
  func members(of expert: Int, layer: Int) -> Range<Int> {
    let starts = starts + layer * (count + 1)
    return starts[expert]..<starts[expert + 1]
  }

  /// The token that is member number i, and the weight of what its expert says.
  func member(_ i: Int) -> (token: Int, share: Float) { (Int(members[i]), memberShares[i]) }
}
