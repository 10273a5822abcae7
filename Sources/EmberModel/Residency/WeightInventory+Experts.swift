extension WeightInventory {
  /// An expert, which is read as a whole or not at all.
  public struct Expert: Sendable, Equatable {
    /// Bytes of the file that gate, up and down take.
    public let gate, up, down: Range<Int>

    public var byteCount: Int { gate.count + up.count + down.count }

    /// Those of all layers.
    ///
    /// - Parameter known: gains the names of their tensors.
    /// - Returns: nil where one is not there.
    static func all(
      of architecture: Architecture, among tensors: [String: Tensor], known: inout Set<String>
    ) -> [Expert]? {
      guard let shape = architecture.feedForward.experts else { return [] }
      var experts: [Expert] = []
      for layer in 0..<architecture.layerCount {
        for index in 0..<shape.count {
          func range(_ matrix: TensorName.ExpertMatrix) -> Range<Int>? {
            let name = TensorName.weight(matrix, expert: index, layer: layer)
            known.insert(name)
            return tensors[name].map { $0.offset..<$0.offset + $0.layout.byteCount }
          }
          guard let gate = range(.gate), let up = range(.up), let down = range(.down) else {
            return nil
          }
          experts.append(Expert(gate: gate, up: up, down: down))
        }
      }
      return experts
    }
  }

  /// Bytes of all experts.
  public var expertBytes: Int { experts.reduce(0) { $0 + $1.byteCount } }

  /// Bytes of the experts that a token is given to, in all layers.
  public var expertBytesPerToken: Int {
    expertsPerLayer == 0 ? 0 : expertBytes / expertsPerLayer * usedExperts
  }
}
