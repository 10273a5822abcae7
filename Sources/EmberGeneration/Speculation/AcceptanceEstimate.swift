/// How probable it is that a guessed token is right, learned from those that were and were not.
///
/// One probability for each of some classes, such as the length of a match. What was seen weighs
/// less the longer ago it was: the last 32 tokens of a class or so decide.
struct AcceptanceEstimate: Sendable {
  /// Assumed of each class before anything was seen, or nil where it is that of the class before.
  private let assumed: [Double?]
  private var hits: [Double]
  private var trials: [Double]

  /// Of what was seen, per token.
  private static let memory = 0.97
  /// How many tokens the assumption counts as.
  private static let assumptionWeight = 3.0

  init(assumed: [Double?]) {
    self.assumed = assumed
    hits = assumed.map { _ in 0 }
    trials = hits
  }

  func probability(_ index: Int) -> Double {
    let assumed = assumed[index] ?? (index > 0 ? probability(index - 1) : 0.5)
    let weight = Self.assumptionWeight
    return (hits[index] + weight * assumed) / (trials[index] + weight)
  }

  mutating func record(_ index: Int, isHit: Bool) {
    hits[index] = hits[index] * Self.memory + (isHit ? 1 : 0)
    trials[index] = trials[index] * Self.memory + 1
  }
}

extension AcceptanceEstimate {
  /// By the length of the match that a guess continues: each token that is right makes it longer.
  static var byMatchLength: Self { Self(assumed: [0.3, 0.45, 0.6, 0.75, 0.85, 0.9, 0.95]) }

  static func index(matchLength: Int) -> Int {
    switch matchLength {
    case ...2: 0
    case 3: 1
    case 4...5: 2
    case 6...8: 3
    case 9...16: 4
    case 17...32: 5
    default: 6
    }
  }

  /// By the place in a draft, counted from 0, of which all before was right.
  static var byDepth: Self { Self(assumed: [0.6, nil, nil, nil, nil, nil, nil]) }

  static func index(depth: Int) -> Int {
    switch depth {
    case ..<3: depth
    case 3...4: 3
    case 5...8: 4
    case 9...16: 5
    default: 6
    }
  }
}
