import EmberModel

/// Which input columns of a matrix carry feature dimensions, told from the model's own weights,
/// without any text.
///
/// Large models have a few activation dimensions far beyond the others, |x| ≥ 6 where the rest are
/// about 1 (Dettmers et al. 2022, LLM.int8(), section 4). The weights that read them look harmless,
/// often tiny, and rounding them away costs most of all. Behind a norm, E[x²] is the squared gain
/// (plus the squared bias): the norm has just made everything else 1. The attention output's inputs
/// are averages of values, so their size follows from the rows of the value matrix; those of the
/// down projection from the rows of up and gate. Columns six times the typical size or more count
/// with their E[x²] in the search for scales and outliers; all others count alike. (Weighting
/// every column by this estimate was tried: it costs 0.02 to 0.2 % of perplexity on models without
/// feature dimensions.)
struct InputImportance {
  private let architecture: Architecture
  /// E[x²] by the name of the norm or matrix that x comes from.
  private var squares: [String: [Float]] = [:]
  /// The same of one expert's gate and up, behind which its down comes: no other is of use by then.
  private var expert: (stem: String, squares: [TensorName.ExpertMatrix: [Float]])?

  init(architecture: Architecture) {
    self.architecture = architecture
  }

  /// Whether the weights of this tensor tell something about a later one's inputs.
  func isSource(_ name: String) -> Bool {
    name.contains("norm.") || name.hasSuffix("value.weight") || name.hasSuffix("up.weight")
      || name.hasSuffix("gate.weight")
  }

  /// Takes in a norm's gain or bias.
  mutating func add(vector: UnsafeBufferPointer<Float>, named name: String) {
    let key = name.hasSuffix(".bias") ? String(name.dropLast(5)) + ".weight" : name
    add(vector.map { $0 * $0 }, at: key)
  }

  /// Takes in the sizes of a matrix's outputs, Σ E[x²]·w² per row.
  mutating func add(rowSquares: [Float], named name: String) {
    if let matrix = TensorName.expertMatrix(name) {
      let stem = Self.stem(ofExpert: name)
      if expert?.stem != stem { expert = (stem, [:]) }
      expert?.squares[matrix] = rowSquares
      return
    }
    add(rowSquares, at: name)
  }

  private mutating func add(_ values: [Float], at key: String) {
    if let old = squares[key] {
      squares[key] = zip(old, values).map { $0 + $1 }
    } else {
      squares[key] = values
    }
  }

  /// `layers.3.feed_forward.experts.7`
  private static func stem(ofExpert name: String) -> String {
    // Of seven parts the first five.
    name.split(separator: ".").prefix(5).joined(separator: ".")
  }

  /// How much an error in each input column counts: E[x²] over its median for feature dimensions,
  /// 1 for the others; nil where there are none.
  func columns(of name: String) -> [Float]? {
    guard let inputs = inputs(of: name) else { return nil }
    let median = inputs.sorted()[inputs.count / 2]
    let ratios = inputs.map { $0 / median }
    guard median > 0, ratios.contains(where: { $0 >= Self.featureRatio && $0.isFinite }) else {
      return nil
    }
    return ratios.map { $0 >= Self.featureRatio && $0.isFinite ? $0 : 1 }
  }

  /// Six times the typical size, squared.
  private static let featureRatio: Float = 36

  private func inputs(of name: String) -> [Float]? {
    if name == TensorName.head { return squares[TensorName.finalNorm] }
    let parts = name.split(separator: ".", maxSplits: 2)
    guard parts.count == 3, parts[0] == "layers", let layer = Int(parts[1]),
      parts[2].hasSuffix(".weight")
    else { return nil }
    if let matrix = TensorName.expertMatrix(name) {
      if matrix != .down { return squares[TensorName.weight(.feedForward, layer: layer)] }
      guard let expert, expert.stem == Self.stem(ofExpert: name),
        let gate = expert.squares[.gate], let up = expert.squares[.up]
      else { return nil }
      return zip(gate, up).map { $0 * $1 }
    }
    guard let matrix = TensorName.Matrix(rawValue: String(parts[2].dropLast(7))) else { return nil }
    func rows(_ matrix: TensorName.Matrix) -> [Float]? {
      self.squares[TensorName.weight(matrix, layer: layer)]
    }
    switch matrix {
    case .query, .key, .value:
      return self.squares[TensorName.weight(.attention, layer: layer)]
    case .router, .gate, .up, .sharedGate:
      return self.squares[TensorName.weight(.feedForward, layer: layer)]
    case .attentionOutput:
      // A query head reads the values of the key/value head that it shares.
      let a = architecture.attention
      return rows(.value).map { values in
        (0..<a.headCount * a.headDimension).map { column in
          let head = column / a.headDimension / (a.headCount / a.keyValueHeadCount)
          return values[head * a.headDimension + column % a.headDimension]
        }
      }
    case .down:
      guard let up = rows(.up) else { return nil }
      return rows(.gate).map { gate in zip(gate, up).map { $0 * $1 } } ?? up
    }
  }
}
